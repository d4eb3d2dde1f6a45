"""The programs compared: this balancer, HAProxy in tcp mode, nginx's stream module.

Each runs on two cores (fewer where the machine has fewer), is started anew for every run on a
port of its own, logs nothing per connection, and spreads connections over the same targets.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench_kit.errors import BenchError
from bench_kit.processes import Server, free_port, http_status

from .backends import user_line

HOST = "127.0.0.1"
CORES = min(2, len(os.sched_getaffinity(0)))
MAX_CONNECTIONS = 4096
BALANCER, HAPROXY, NGINX = "balancer", "haproxy", "nginx"
NAMES = [BALANCER, HAPROXY, NGINX]
STREAM_MODULES = [
    Path("/usr/lib/nginx/modules/ngx_stream_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_stream_module.so"),
    Path("/usr/share/nginx/modules/ngx_stream_module.so"),
]


@dataclass(frozen=True)
class Setup:
    """What is the same for every run: the binary under test, its targets, a setting of nginx."""

    binary: Path | None
    targets: list[str]
    nginx_buffer: str = "16k"


@dataclass
class Running:
    """A started peer and where its clients connect."""

    server: Server
    port: int

    def stop(self) -> None:
        """Ends it."""
        self.server.stop()


def start(name: str, setup: Setup, directory: Path) -> Running:
    """Starts a peer in `directory` and waits until a request passes through it."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port([HOST])
    if name == BALANCER:
        if setup.binary is None:
            raise BenchError("no balancer binary was built or given")
        running = _start_balancer(setup.binary, setup.targets, directory, port)
    else:
        command = _command(name, setup, directory, port)
        running = Running(Server(name, command, directory / "log"), port)
    try:
        running.server.wait_until(lambda: http_status(HOST, port, "/ping") == 200, "forwarding")
    except BaseException:
        running.stop()
        raise
    return running


def _start_balancer(binary: Path, targets: list[str], directory: Path, port: int) -> Running:
    admin = free_port([HOST])
    while admin == port:
        admin = free_port([HOST])
    server = Server(
        BALANCER, [str(binary)], directory / "log", env=balancer_env(targets, port, admin)
    )
    try:
        server.wait_until(lambda: http_status(HOST, admin, "/readyz") == 200, "ready")
    except BaseException:
        server.stop()
        raise
    return Running(server, port)


def balancer_env(targets: list[str], port: int, admin: int) -> dict[str, str]:
    """Its whole configuration; the rest are defaults."""
    return {
        "HOST": HOST,
        "PORT": str(port),
        "ADMIN_HOST": HOST,
        "ADMIN_PORT": str(admin),
        "CORES": str(CORES),
        "NODE_FILTER": "static",
        "TARGETS": ",".join(targets),
        "TARGET_PORT": targets[0].rsplit(":", 1)[1],
        "HEALTH_CHECK_PATH": "/ping",
        "HEALTH_CHECK_PERIOD": "2",
        "IDLE_TIMEOUT": "600",
        "RUST_LOG": "warn",
        "SHUTDOWN_TIMEOUT": "1",
    }


def haproxy_config(targets: list[str], port: int) -> str:
    """Tcp mode, a listening socket per thread, no logs, the same health check as the balancer's.

    `splice-auto` takes a quarter off the CPU per large body and changes nothing measurable for
    small ones. Pinned threads, a shared listening socket, and tcp-smart-accept with
    tcp-smart-connect were tried and made no difference beyond the noise.
    """
    servers = "\n".join(
        f"    server t{index} {target} check inter 2s" for index, target in enumerate(targets)
    )
    return f"""
global
    nbthread {CORES}
    maxconn {MAX_CONNECTIONS}
defaults
    mode tcp
    option splice-auto
    balance roundrobin
    timeout connect 2s
    timeout client 600s
    timeout server 600s
listen bench
    bind {HOST}:{port} shards by-thread backlog 4096
    option httpchk GET /ping
{servers}
"""


def nginx_config(targets: list[str], directory: Path, port: int, buffer: str) -> str:
    """The stream module with a listening socket per worker and workers pinned to their cores.

    Pinning saves some CPU on small bodies. `buffer` is nginx's own default of 16k unless asked
    otherwise: 64k saves CPU on large bodies and costs memory.
    """
    module = next((path for path in STREAM_MODULES if path.exists()), None)
    load = f"load_module {module};" if module else ""
    servers = " ".join(f"server {target};" for target in targets)
    return f"""
{load}
daemon off;
{user_line()}
worker_processes {CORES};
worker_cpu_affinity auto;
worker_rlimit_nofile {4 * MAX_CONNECTIONS};
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {2 * MAX_CONNECTIONS}; }}
stream {{
    access_log off;
    upstream targets {{ {servers} }}
    server {{
        listen {HOST}:{port} reuseport backlog=4096;
        proxy_pass targets;
        proxy_buffer_size {buffer};
        proxy_connect_timeout 2s;
        proxy_timeout 600s;
    }}
}}
"""


def _command(name: str, setup: Setup, directory: Path, port: int) -> list[str]:
    conf = directory / f"{name}.conf"
    if name == HAPROXY:
        conf.write_text(haproxy_config(setup.targets, port))
        return ["haproxy", "-db", "-f", str(conf)]
    conf.write_text(nginx_config(setup.targets, directory, port, setup.nginx_buffer))
    return ["nginx", "-p", str(directory), "-c", str(conf), "-e", "stderr"]


def version(name: str, binary: Path | None) -> str:
    """The version a peer reports, or why it does not."""
    command = {
        BALANCER: [str(binary), "--version"],
        HAPROXY: ["haproxy", "-v"],
        NGINX: ["nginx", "-v"],
    }[name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown ({error})"
    text = (done.stdout + done.stderr).strip()
    return text.splitlines()[0] if text else "unknown"
