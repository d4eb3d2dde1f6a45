"""The programs that are run in the virtual machines, as cargo builds them here."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import Failed
from .architecture import ARM64, Architecture
from .programs import ROOT, in_child

BALANCER = "stateless-load-balancer"
PLANES = ("exchange", "dataplane", "control")


@dataclass(frozen=True)
class Built:
    """Paths of what was built."""

    balancer: Path
    traffic: Path
    units: dict[str, Path]  # by the name of the crate


def build(architecture: Architecture, with_aws: bool) -> Built:
    """Builds the tests and the balancer; raises Failed when cargo does."""
    # As scripts/test.sh has them built: then there is nothing left to do.
    command = ["cargo", "test", "--workspace", "--locked", "--no-run", "--lib", "--test", "traffic"]
    command += ["--message-format", "json-render-diagnostics"]
    variables = {}
    if not with_aws:
        command.append("--no-default-features")
    if architecture.target == ARM64.target:
        command += ["--target", ARM64.target]
        prefix = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU"
        # The instructions that the shipped binary may have.
        variables = {f"{prefix}_LINKER": ARM64.compiler,
                     f"{prefix}_RUSTFLAGS": "-C target-cpu=neoverse-n1"}
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False,
        env={**os.environ, **variables}, preexec_fn=in_child,
    )
    if done.returncode != 0:
        raise Failed(f"cargo cannot build the tests for {architecture.name}; see above")
    return _sort(done.stdout)


def _sort(messages: str) -> Built:
    """What cargo's messages say of the programs it built."""
    found: dict[str, Path] = {}
    for line in messages.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("reason") == "compiler-artifact" and message["executable"]:
            kind, name = message["target"]["kind"][0], message["target"]["name"]
            test = "test " if message["profile"]["test"] else ""
            found[f"{test}{kind} {name}"] = Path(message["executable"])
    try:
        return Built(
            balancer=found[f"bin {BALANCER}"],
            traffic=found["test test traffic"],
            units={name: found[f"test lib {name}"] for name in PLANES},
        )
    except KeyError as missing:
        raise Failed(f"cargo built no {missing.args[0]}")
