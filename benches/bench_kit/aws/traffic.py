"""Servers at the instances' addresses, and clients that count what they get: on one event loop in a
thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter

KEEP_ALIVE_CLIENTS = 8
KEEP_ALIVE_PAUSE = 0.05
NEW_CLIENT_PAUSE = 0.02
PATIENCE = 10.0


class Loop:
    """An event loop that runs until the program ends."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine):
        """Runs it to its end."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE * 2)

    def spawn(self, coroutine):
        """Runs it beside the caller."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)


async def serve(address: str, port: int) -> None:
    """Answers every request with the server's own address."""
    body = address.encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client is done
        writer.close()

    await asyncio.start_server(converse, address, port)


class Connection:
    """A client's connection, kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connects to the balancer."""
        opening = asyncio.open_connection("127.0.0.1", port)
        return cls(*await asyncio.wait_for(opening, PATIENCE))

    async def ask(self) -> str:
        """The address of who answers."""
        self._writer.write(b"GET / HTTP/1.1\r\nHost: prove\r\n\r\n")
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), PATIENCE)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await asyncio.wait_for(self._reader.readexactly(length), PATIENCE)
        return body.decode()

    async def ends_with(self) -> str:
        """Waits until the other end is through: `reset`, `end of stream`."""
        try:
            rest = await self._reader.read(1)
        except ConnectionResetError:
            return "reset"
        return "end of stream" if rest == b"" else f"{rest!r}"

    def close(self) -> None:
        """Ends it."""
        self._writer.close()


class Clients:
    """A steady load: some clients keep their connection, others open one for each request."""

    def __init__(self, loop: Loop, port: int):
        self._port = port
        self.errors: list[str] = []
        self.answers = {"keep-alive": 0, "new": 0}
        self.kept_by: set[str] = set()
        self._by_target: Counter[str] = Counter()
        self._over = False
        self._tasks = [loop.spawn(self._keep_alive()) for _ in range(KEEP_ALIVE_CLIENTS)]
        self._tasks.append(loop.spawn(self._new()))

    def since(self) -> Counter[str]:
        """New connections by target since this was last asked."""
        seen, self._by_target = self._by_target, Counter()
        return seen

    def wait_for(self, address: str, seconds: float) -> bool:
        """Whether a new connection gets to `address` within so many seconds."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if self._by_target[address]:
                return True
            time.sleep(0.01)
        return False

    def stop(self) -> None:
        """Ends the load; what is under way is waited for."""
        self._over = True
        for task in self._tasks:
            task.result(PATIENCE * 2)

    async def _keep_alive(self) -> None:
        connection = None
        while not self._over:
            try:
                connection = connection or await Connection.open(self._port)
                self.kept_by.add(await connection.ask())
                self.answers["keep-alive"] += 1
            except Exception as error:  # every kind counts
                self.errors.append(f"keep-alive: {error!r}")
                connection = None
            await asyncio.sleep(KEEP_ALIVE_PAUSE)
        if connection:
            connection.close()

    async def _new(self) -> None:
        while not self._over:
            try:
                connection = await Connection.open(self._port)
                self._by_target[await connection.ask()] += 1
                connection.close()
                self.answers["new"] += 1
            except Exception as error:  # every kind counts
                self.errors.append(f"new: {error!r}")
            await asyncio.sleep(NEW_CLIENT_PAUSE)
