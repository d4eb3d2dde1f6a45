"""S3 as the aws client sees it: moto, behind what refuses or holds up single requests."""

from __future__ import annotations

import logging
import threading
import unittest
from collections.abc import Iterable
from typing import Callable

try:
    from moto.backends import get_backend
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server
except ImportError as error:
    raise unittest.SkipTest(f"there is no moto: {error}") from error

# One line a request otherwise.
logging.getLogger("werkzeug").setLevel(logging.ERROR)

Answer = Callable[[str, list[tuple[str, str]]], object]

REGION = "eu-west-1"
PATIENCE_SECONDS = 60


class Store:
    """A server with the bucket `artifacts`, as long as it is open."""

    def __init__(self) -> None:
        # Methods and paths, in the order in which the requests came.
        self.requests: list[tuple[str, str]] = []
        self.refused: dict[str, str] = {}
        self.refused_all = ""
        self.held = ""
        self.holding = threading.Event()
        self.release = threading.Event()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self._s3 = get_backend("s3")["123456789012"]["aws"]
        self._s3.reset()
        self._s3.create_bucket("artifacts", REGION)

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._s3.reset()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def refuse(self, key: str, status: str) -> None:
        """Answers an upload of the key with this status."""
        self.refused[key] = status

    def refuse_all(self, status: str) -> None:
        """Answers every request with this status."""
        self.refused_all = status

    def hold(self, key: str) -> None:
        """Does not answer an upload of the key until closed; `holding` says that one has come."""
        self.held = key

    def uploads(self) -> list[str]:
        """The keys that were written, or tried to be, in order."""
        return [path.split("/", 2)[2] for method, path in self.requests if method == "PUT"]

    def objects(self) -> dict[str, bytes]:
        bucket = self._s3.buckets["artifacts"]
        return {name: key.value for name, key in bucket.keys.items()}

    def put(self, key: str, contents: bytes) -> None:
        self._s3.put_object("artifacts", key, contents)

    def _answer(self, environ: dict, start: Answer) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path))
        key = path[len("/artifacts/") :]
        if method == "PUT" and key == self.held:
            self.holding.set()
            self.release.wait(PATIENCE_SECONDS)
        status = self.refused_all or (self.refused.get(key) if method == "PUT" else None)
        if status:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(status, [("Content-Type", "application/xml")])
            return [b"<Error><Code>Refused</Code><Message>not now</Message></Error>"]
        return self._moto(environ, start)
