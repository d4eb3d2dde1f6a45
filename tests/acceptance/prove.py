"""Discovery in AWS as a user meets it: `scripts/prove-aws --help`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench_kit.aws.account import CREDENTIALS, Fleet, Moto, use_python_with_moto
from bench_kit.aws.balancer import Balancer, check, knows
from bench_kit.aws.traffic import Clients, Connection, Loop, serve
from bench_kit.errors import BenchError
from side_by_side.environment import build_balancer

ABOUT = """\
Runs the unmodified release binary before moto, which speaks AWS's APIs, and shows that members of
an Auto Scaling Group get traffic, come and go, and are not lost while AWS is down. The variables
are the defaults, with these set:
  AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY  moto instead of AWS
  AWS_EC2_METADATA_DISABLED=true                              this machine is no EC2 instance
  ALLOW_LOOPBACK_TARGETS=true                                 the instances are on loopback
  PORT, ADMIN_PORT                                            only where 8080 and 9901 are taken
  DRAIN_TIMEOUT                                               only where its end is waited for
Takes about three minutes. Exit status 1 if anything is not as it should be."""

TARGET_PORT = 30080
NODE_CHECK_PERIOD = 10.0
HEALTH_CHECK_PERIOD = 2.0
JITTER = 1.1
# Of this machine, which does other things too.
SLACK = 2.0
SEEN_WITHIN = NODE_CHECK_PERIOD + 2 * HEALTH_CHECK_PERIOD
DRAIN_TIMEOUT = 5.0
OUTAGE_MIN = 2 * NODE_CHECK_PERIOD


@dataclass
class Row:
    """One thing that was shown, or not."""

    what: str
    good: bool | None  # None: left out
    detail: str

    def __str__(self) -> str:
        word = {True: "ok", False: "FAIL", None: "left out"}[self.good]
        return f"{word:8}  {self.what:38}  {self.detail}"


@dataclass
class Stage:
    """What the steps have in common."""

    binary: Path
    directory: Path
    outage: float
    loop: Loop
    moto: Moto
    fleet: Fleet
    variables: dict[str, str]
    network: str
    members: dict[str, str] = field(default_factory=dict)  # address -> instance id

    def scale_out(self) -> str:
        """One more member, with a server; returns its address."""
        number = len(self.members)
        address = f"{self.network}.{10 + number // 2 + 128 * (number % 2)}"
        self.loop.run(serve(address, TARGET_PORT))
        self.members[address] = self.fleet.scale_out(address)
        return address

    def terminate(self, address: str) -> None:
        """Scales in the member there."""
        self.fleet.terminate(self.members[address])

    def balancer(self, name: str, own_ports: bool = False, **variables: str) -> Balancer:
        """A balancer that is ready."""
        log = self.directory / f"{name}.log"
        balancer = Balancer(self.binary, log, {**self.variables, **variables}, own_ports)
        balancer.wait_until(balancer.is_ready, "ready")
        return balancer


class Proof:
    """All steps, in order. A step adds the rows that came of it."""

    def __init__(self, stage: Stage, tell: Callable[[Row], None]):
        self._stage = stage
        self._tell = tell
        self.rows: list[Row] = []

    def run(self) -> None:
        """Shows everything."""
        stage = self._stage
        for _ in range(3):
            stage.scale_out()
        balancer = stage.balancer("balancer")
        try:
            balancer.wait_until(lambda: len(balancer.healthy()) == 3, "healthy")
            clients = Clients(stage.loop, balancer.port)
            self.all_members(balancer, clients)
            self.scale_out(clients, "scale-out: the new member gets traffic")
            self.terminate(balancer, clients)
            self.outage(balancer, clients)
            self.scale_out(clients, "scale-out after the outage")
            clients.stop()
            served = f"{clients.answers['keep-alive']} requests on kept connections, " \
                f"{clients.answers['new']} on new ones, {len(clients.errors)} errors"
            self.add("no client saw an error in all this", not clients.errors, served)
            self.drain_timeout()
            self.check(balancer)
        finally:
            balancer.stop()

    def add(self, what: str, good: bool | None, detail: str) -> None:
        """Notes what was shown."""
        self.rows.append(Row(what, good, detail))
        self._tell(self.rows[-1])

    def all_members(self, balancer: Balancer, clients: Clients) -> None:
        """(a) Every member that is in service gets traffic."""
        wanted = set(self._stage.members)
        balancer.wait_until(lambda: clients.answers["new"] >= 150, "loaded")
        seen = clients.since()
        shares = ", ".join(f"{address} {seen[address]}" for address in sorted(wanted))
        # New ones may all go to the members that have fewer of the kept ones.
        reached = set(seen) | clients.kept_by
        self.add("traffic reaches all members", reached == wanted, f"new connections: {shares}")

    def scale_out(self, clients: Clients, what: str) -> None:
        """(b) A new member gets traffic soon."""
        address = self._stage.scale_out()
        began = time.monotonic()
        is_seen = clients.wait_for(address, SEEN_WITHIN + SLACK)
        took = time.monotonic() - began
        self.add(what, is_seen and took <= SEEN_WITHIN, f"{took:.1f} s (at most {SEEN_WITHIN:.0f})")

    def terminate(self, balancer: Balancer, clients: Clients) -> None:
        """(c) A member that is scaled in gets no new connections; those it has go on."""
        stage = self._stage
        live = stage.loop.run(Connection.open(balancer.port))
        address = stage.loop.run(live.ask())
        stage.terminate(address)
        began = time.monotonic()
        instance = stage.members[address]
        is_draining = lambda: balancer.states().get(instance) == "draining"  # noqa: E731
        balancer.wait_until(is_draining, "draining", NODE_CHECK_PERIOD * JITTER + SLACK)
        took = time.monotonic() - began
        time.sleep(0.5)  # what was under way
        clients.since()
        before = clients.answers["new"]
        balancer.wait_until(lambda: clients.answers["new"] >= before + 200, "loaded")
        after = clients.since()[address]
        goes_on = stage.loop.run(live.ask()) == address and is_draining()
        self.add("terminate: no new connections", after == 0, f"draining after {took:.1f} s")
        self.add("terminate: its live connection goes on", goes_on, f"{address}, {instance}")
        live.close()

    def outage(self, balancer: Balancer, clients: Clients) -> None:
        """(d), (e) AWS is gone for a while, then back."""
        stage = self._stage
        before, errors = balancer.healthy(), len(clients.errors)
        answers = sum(clients.answers.values())
        stage.moto.kill()
        time.sleep(stage.outage)
        lost = before - balancer.healthy()
        failed = balancer.refreshes("unreachable") + balancer.refreshes("timeout")
        answers = sum(clients.answers.values()) - answers
        new = clients.errors[errors:]
        detail = f"{stage.outage:.0f} s, {failed} refreshes failed, {answers} answers, " \
            f"{len(new)} errors {new[:3] if new else ''}"
        self.add("AWS down: no client error", not new and failed > 0, detail.rstrip())
        self.add("AWS down: no target lost", not lost, f"{len(before)} healthy throughout")
        good = balancer.refreshes("ok")
        stage.moto.restart()
        began = time.monotonic()
        # A refresh may be under way that takes as long as it may.
        patience = 3 * NODE_CHECK_PERIOD * JITTER
        balancer.wait_until(lambda: balancer.refreshes("ok") > good, "refreshed", patience)
        took = time.monotonic() - began
        same = balancer.healthy() == before
        self.add("AWS back: discovery recovers", same, f"after {took:.1f} s, the same targets")

    def drain_timeout(self) -> None:
        """(c) What is left of a drained member's connections after DRAIN_TIMEOUT is reset."""
        stage, what = self._stage, "DRAIN_TIMEOUT: what is left is reset"
        if not knows(stage.binary, "DRAIN_TIMEOUT"):
            self.add(what, None, "this binary has no DRAIN_TIMEOUT")
            return
        timeout = f"{DRAIN_TIMEOUT:.0f}s"
        balancer = stage.balancer("drain", own_ports=True, DRAIN_TIMEOUT=timeout)
        try:
            live = stage.loop.run(Connection.open(balancer.port))
            address = stage.loop.run(live.ask())
            instance = stage.members[address]
            stage.terminate(address)
            is_draining = lambda: balancer.states().get(instance) == "draining"  # noqa: E731
            balancer.wait_until(is_draining, "draining", NODE_CHECK_PERIOD * JITTER + SLACK)
            began = time.monotonic()
            ending = asyncio.wait_for(live.ends_with(), DRAIN_TIMEOUT + 5)
            try:
                end = stage.loop.run(ending)
            except TimeoutError:
                end = "nothing"
            took = time.monotonic() - began
            good = end == "reset" and DRAIN_TIMEOUT - 1 <= took <= DRAIN_TIMEOUT + 2
            self.add(what, good, f"{end} {took:.1f} s after draining began (set to {timeout})")
        finally:
            balancer.stop()

    def check(self, balancer: Balancer) -> None:
        """(f) The preflight, on a good set-up and on broken ones."""
        stage = self._stage
        for what, wanted, part, variables in [
            ("check: a good set-up", 0, "would serve", {}),
            ("check: no such group", 1, "no such group", {"ASG_NAME": "worker-node"}),
            ("check: no AWS", 1, "cannot be reached", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}),
            ("check: no credentials", 1, '"ec2:DescribeInstances"', {"AWS_ACCESS_KEY_ID": ""}),
            ("check: no target answers", 1, "0 of ", {"HEALTH_CHECK_PORT": "9"}),
        ]:
            status, output = check(stage.binary, {**balancer.variables, **variables})
            good = status == wanted and part in output
            verdict = (output.strip().splitlines() or ["nothing printed"])[-1]
            self.add(what, good, f"exit status {status}: {verdict}")


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/prove-aws",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--binary", type=Path, help="the balancer; by default it is built")
    parser.add_argument("--outage", type=float, default=60.0, help="how long AWS is down (s)")
    arguments = parser.parse_args()
    if arguments.outage < OUTAGE_MIN:
        parser.error(f"--outage: in less than {OUTAGE_MIN:.0f} s perhaps nobody asks AWS")
    try:
        use_python_with_moto()
        binary = arguments.binary or build_balancer()
        with tempfile.TemporaryDirectory(prefix="prove-aws-") as directory:
            return prove(binary, Path(directory), arguments.outage)
    except BenchError as error:
        print(f"prove-aws: {error}", file=sys.stderr)
        return 1


def prove(binary: Path, directory: Path, outage: float) -> int:
    """Returns the exit status."""
    moto = Moto(directory / "moto.log")
    try:
        # Side by side with another run, the instances have other addresses.
        network = f"127.0.{os.getpid() % 250 + 2}"
        stage = Stage(
            binary=binary.resolve(),
            directory=directory,
            outage=outage,
            loop=Loop(),
            moto=moto,
            fleet=Fleet(moto, f"{network}.0/24"),
            variables={
                "AWS_ENDPOINT_URL": moto.endpoint,
                "AWS_EC2_METADATA_DISABLED": "true",
                "ALLOW_LOOPBACK_TARGETS": "true",
                **CREDENTIALS,
            },
            network=network,
        )
        proof = Proof(stage, lambda row: print(row, flush=True))
        proof.run()
    finally:
        moto.kill()
    results = [row.good for row in proof.rows]
    failed, left_out = results.count(False), results.count(None)
    print(f"\n{results.count(True)} as they should be, {failed} not, {left_out} left out")
    return 1 if failed else 0
