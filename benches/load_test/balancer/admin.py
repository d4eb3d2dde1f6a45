"""What the balancer's admin server tells: readiness, counters, connections of each core."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field

from ..target import Url

SECONDS = 2.0
SAMPLE = re.compile(r'^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)')
CORE = re.compile(r'core="(\d+)"')


@dataclass(frozen=True)
class Metrics:
    """One reading of /metrics. CPU and memory are None where the endpoint does not tell them."""

    core_connections: list[int] = field(default_factory=list)
    moved: int | None = None
    failed: int | None = None
    version: str | None = None
    cpu_seconds: float | None = None
    resident_bytes: float | None = None


def parse_metrics(text: str) -> Metrics:
    """Reads Prometheus' text format."""
    cores: dict[int, int] = {}
    single: dict[str, float] = {}
    version = None
    for line in text.splitlines():
        sample = SAMPLE.match(line)
        if not sample:
            continue
        name, labels = sample["name"], sample["labels"] or ""
        if name == "load_balancer_core_connections" and (core := CORE.search(labels)):
            cores[int(core[1])] = int(float(sample["value"]))
        elif name == "load_balancer_build_info":
            version = labels.partition('version="')[2].partition('"')[0] or None
        elif not labels:
            single[name] = float(sample["value"])
    moved = single.get("load_balancer_moved_connections_total")
    failed = single.get("load_balancer_failed_connections_total")
    return Metrics(
        core_connections=[cores[core] for core in sorted(cores)],
        moved=None if moved is None else int(moved),
        failed=None if failed is None else int(failed),
        version=version,
        cpu_seconds=single.get("process_cpu_seconds_total"),
        resident_bytes=single.get("process_resident_memory_bytes"),
    )


def get(url: Url, address: str, path: str, seconds: float = SECONDS) -> tuple[int, str]:
    """Status and body of one GET at `address`; no proxy, no redirect. Raises OSError."""
    connection = http.client.HTTPConnection(address, url.port, timeout=seconds)
    try:
        connection.request("GET", path, headers={"Host": url.authority, "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read(4 << 20).decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer ({error!r})")
    finally:
        connection.close()


class Admin:
    """An admin server at one address."""

    def __init__(self, url: Url, address: str):
        self.url = url
        self._address = address

    def is_ready(self) -> bool:
        """Whether /readyz is 200 now."""
        try:
            return get(self.url, self._address, "/readyz")[0] == 200
        except OSError:
            return False

    def metrics(self) -> Metrics | None:
        """What /metrics says now; None when there is no answer."""
        try:
            status, text = get(self.url, self._address, "/metrics")
        except OSError:
            return None
        return parse_metrics(text) if status == 200 else None
