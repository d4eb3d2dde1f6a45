"""Connections that carried one request and then do nothing."""

from __future__ import annotations

import select
import socket

from bench_kit.errors import BenchError

REQUEST = b"GET /small HTTP/1.1\r\nHost: bench\r\n\r\n"
END_OF_HEAD = b"\r\n\r\n"


class IdleConnections:
    """Opens `count` connections; a request through each shows that it reaches a backend."""

    def __init__(self, address: str, port: int, count: int):
        self._sockets: list[socket.socket] = []
        try:
            for _ in range(count):
                self._sockets.append(socket.create_connection((address, port), timeout=10))
                self._exchange(self._sockets[-1])
        except OSError as error:
            opened = len(self._sockets)
            self.close()
            raise BenchError(f"idle connection {opened} of {count}: {error}")

    @staticmethod
    def _exchange(connection: socket.socket) -> None:
        connection.sendall(REQUEST)
        answer = b""
        while not is_complete(answer):
            chunk = connection.recv(4096)
            if not chunk:
                raise ConnectionError("closed before the answer was complete")
            answer += chunk

    def lost(self) -> int:
        """How many are not quietly open any more: closed, reset, or sent something unasked."""
        poll = select.poll()
        for connection in self._sockets:
            poll.register(connection, select.POLLIN | select.POLLRDHUP)
        return len(poll.poll(0))

    def close(self) -> None:
        """Closes them all."""
        for connection in self._sockets:
            connection.close()


def is_complete(answer: bytes) -> bool:
    """Whether a whole answer with a Content-Length has arrived."""
    head, mark, body = answer.partition(END_OF_HEAD)
    if not mark:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return len(body) >= int(value)
    raise ConnectionError("an answer without Content-Length")
