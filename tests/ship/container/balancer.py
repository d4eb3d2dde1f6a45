"""The real balancer before a target in this process, with its variables and a way to end it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Callable

PATIENCE = 20.0
BODY = b"x" * (10 << 20)


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > until:
            raise AssertionError(f"in vain for {PATIENCE:.0f} s: {what}")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Target:
    """An HTTP server: `/` names it, `/large` is 10 MiB."""

    def __init__(self) -> None:
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = BODY if self.path == "/large" else str(target.port).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that has reset is none

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Balancer:
    """Started at once, on free ports; `command` comes before the program's path."""

    def __init__(self, program: Path, command: list[str], variables: dict[str, str],
                 log: Path) -> None:
        self.port, self.admin = free_port(), free_port()
        own = {"HOST": "127.0.0.1", "PORT": str(self.port), "ADMIN_PORT": str(self.admin),
               "HEALTH_CHECK_PATH": "/", "HEALTH_CHECK_PERIOD": "200ms", "CORES": "1"}
        self._log = log
        with log.open("w") as output:
            self.process = subprocess.Popen([*command, str(program)], stdout=output, stderr=output,
                                            env={**os.environ, **own, **variables})

    def log(self) -> str:
        return self._log.read_text()

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.process.poll() is None, self.log()
            try:
                return self.ask("/readyz") is not None
            except OSError:
                return False

        wait_until("it is ready", is_ready)

    def ask(self, path: str) -> str:
        """Of the admin server; raises OSError where that does not answer 200."""
        return self._get(self.admin, path).decode()

    def get(self, path: str) -> bytes:
        """Through the balancer, on a connection of its own."""
        return self._get(self.port, path)

    @staticmethod
    def _get(port: int, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            return answer.read()

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def targets(*ports: int) -> str:
    """What a target file holds."""
    return json.dumps([{"targets": [f"127.0.0.1:{port}" for port in ports]}])
