"""The servers behind every peer: nginx over HTTP, one process tree per address."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from bench_kit.processes import Server, free_port, http_status

ADDRESSES = ["127.0.0.11", "127.0.0.12"]
LARGE_BYTES = 10 * 1024 * 1024
SMALL_BODY = "a small answer ".ljust(100, ".")


def user_line() -> str:
    """As root, nginx would give its workers to `nobody`, who may not enter our directory."""
    return "user root;" if os.geteuid() == 0 else ""


def nginx(
    name: str, directory: Path, addresses: Iterable[str], port: int, prefix: Iterable[str] = ()
) -> Server:
    """A server of `/small`, `/ping` and what is in `directory`/www; not waited for. `prefix` is put
    before its command."""
    conf = directory / "nginx.conf"
    conf.write_text(config(directory, addresses, port))
    command = [*prefix, "nginx", "-p", str(directory), "-c", str(conf), "-e", "stderr"]
    return Server(name, command, directory / "nginx.log")


def config(directory: Path, addresses: Iterable[str], port: int) -> str:
    """An nginx configuration that never closes a connection of its own accord."""
    listen = " ".join(f"listen {address}:{port} backlog=8192;" for address in addresses)
    return f"""
daemon off;
{user_line()}
worker_processes 1;
worker_rlimit_nofile 16384;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    sendfile_max_chunk 512k;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_header_timeout 600s;
    open_file_cache max=16;
    default_type text/plain;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        {listen}
        root {directory}/www;
        location = /small {{ return 200 "{SMALL_BODY}"; }}
        location = /ping {{ return 200 "ok"; }}
    }}
}}
"""


class Backends:
    """All backends, on one port that is free on every address."""

    def __init__(self, directory: Path):
        self.port = free_port(ADDRESSES)
        self.targets = [f"{address}:{self.port}" for address in ADDRESSES]
        self._servers: list[Server] = []
        self._directory = directory

    def start(self) -> None:
        """Starts them and waits until each answers."""
        for address in ADDRESSES:
            directory = self._directory / f"backend-{address}"
            (directory / "www").mkdir(parents=True)
            (directory / "www" / "large").write_bytes(os.urandom(1024) * (LARGE_BYTES // 1024))
            server = nginx(f"backend {address}", directory, [address], self.port)
            self._servers.append(server)
            server.wait_until(lambda at=address: http_status(at, self.port, "/ping") == 200, "ready")

    def stop(self) -> None:
        """Ends them all."""
        for server in self._servers:
            server.stop()
