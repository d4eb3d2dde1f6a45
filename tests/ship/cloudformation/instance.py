"""An instance that runs the user data: what it asks AWS for is answered, what it installs goes into
a folder, and starting the service starts the real balancer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import signal
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from .. import places
from ..build_push.store import Store
from . import template

NAME = "stateless-load-balancer"
FILES = (f"{NAME}-arm64", f"{NAME}.service", f"60-{NAME}.conf")
BUCKET = "artifacts"  # that of the store
DONE = ('<CompleteLifecycleActionResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">'
        "<CompleteLifecycleActionResult/></CompleteLifecycleActionResponse>")


class Amazon:
    """S3 is moto's. Instance metadata and CompleteLifecycleAction, which moto lacks, are answered here."""

    def __init__(self) -> None:
        self.completed: list[dict[str, str]] = []
        amazon = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, body: str) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def do_PUT(self) -> None:
                is_asked_right = self.path == "/latest/api/token"
                self.answer("token") if is_asked_right else self.send_error(404)

            def do_GET(self) -> None:
                if self.headers.get("X-aws-ec2-metadata-token") != "token":
                    self.send_error(401)
                else:
                    self.answer("i-0a1b2c3d")

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                amazon.completed.append({name: values[0] for name, values in form.items()})
                self.answer(DONE)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.store = Store()

    def upload(self, version: str, contents: dict[str, bytes], sums: str | None = None) -> None:
        """What build_push.sh uploads."""
        if sums is None:
            sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n"
                           for name, content in contents.items())
        for name, content in {**contents, "SHA256SUMS": sums.encode()}.items():
            self.store.put(f"{version}/{name}", content)

    def move_latest(self, version: str) -> None:
        self.store.put("latest", version.encode())

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.store.close()


class Instance:
    """Folders stand for / ; systemctl, sysctl and journalctl are the machine's and stand in here."""

    def __init__(self, amazon: Amazon) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.root = Path(self._folder.name)
        self._amazon = amazon
        for place in ("etc/systemd/system", "etc/sysctl.d", "usr/local/bin", "shims"):
            (self.root / place).mkdir(parents=True)
        self._shim("sysctl", 'echo "sysctl $*" >>"$root/calls"')
        self._shim("journalctl", 'cat "$root/journal"')
        # As systemd would: the program that was installed, with the variables of the file.
        self._shim("systemctl", f"""
            echo "systemctl $*" >>"$root/calls"
            [[ $1 == enable ]] || exit 0
            mapfile -t variables <"$root/etc/{NAME}.env"
            env "${{variables[@]}}" "$root/usr/local/bin/{NAME}" >"$root/journal" 2>&1 &
            echo $! >"$root/pid" """)

    def _shim(self, name: str, script: str) -> None:
        path = self.root / "shims" / name
        path.write_text(f"#!/bin/bash\nroot={shlex.quote(str(self.root))}\n{script}\n")
        path.chmod(0o755)

    def boot(self, **parameters: str) -> subprocess.CompletedProcess[str]:
        """Runs the user data to its end."""
        script = template.user_data({"ArtifactBucket": BUCKET, **parameters})
        script = script.replace("http://169.254.169.254", self._amazon.url)
        script = script.replace("tries < 60", "tries < 3")
        for place in ("/etc/", "/usr/local/bin/"):
            script = script.replace(f'"{place}', f'"{self.root}{place}')
            script = script.replace(f" {place}", f" {self.root}{place}")
        path = [str(self.root / "shims"), str(Path(places.program("aws")).parent), os.environ["PATH"]]
        environment = {
            "PATH": os.pathsep.join(path), "HOME": str(self.root), "TMPDIR": str(self.root),
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL_S3": self._amazon.store.url, "AWS_MAX_ATTEMPTS": "1",
            "AWS_ENDPOINT_URL_AUTO_SCALING": self._amazon.url, "AWS_EC2_METADATA_DISABLED": "true",
        }
        return subprocess.run(["bash", "-c", script], env=environment, cwd="/", text=True,
                              capture_output=True, check=False, timeout=120)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def installed(self) -> list[str]:
        """All that is in the folders that stand for the machine's."""
        places_of_it = [self.root / "etc", self.root / "usr"]
        return sorted(str(path.relative_to(self.root)) for place in places_of_it
                      for path in place.rglob("*") if path.is_file())

    def stop(self) -> None:
        pid = self.root / "pid"
        if pid.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid.read_text()), signal.SIGKILL)
        self._folder.cleanup()
