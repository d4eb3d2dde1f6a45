#!/usr/bin/env python3
"""A link between two network namespaces on which each packet takes a while, for kernels without
netem: two TUN devices, and this process between them. Ends with its standard input.

usage: link.py DELAY_US NAMESPACE ADDRESS/BITS NAMESPACE ADDRESS/BITS
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque

DEVICE = "far0"
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
PR_SET_TIMERSLACK = 29
PACKET_BYTES_MAX = 65536
# Packets that are under way in one direction; what comes on top is lost, as on any link.
QUEUED_MAX = 20_000
# Read at a time before due packets are looked for.
BATCH = 16
LIBC = ctypes.CDLL(None, use_errno=True)


class End:
    """One end of the link, and what is on its way to it."""

    def __init__(self, namespace: str, address: str):
        self.fd = _open_tun(namespace)
        os.set_blocking(self.fd, False)
        self.queue: deque[tuple[float, bytes]] = deque()
        for command in (
            ["address", "add", address, "dev", DEVICE],
            ["link", "set", DEVICE, "txqueuelen", "10000"],
            ["link", "set", DEVICE, "up"],
        ):
            subprocess.run(["ip", "-n", namespace, *command], check=True)

    def take(self, to: End, delay: float) -> None:
        """Reads what was sent here, for it to arrive at the other end later."""
        for _ in range(BATCH):
            try:
                packet = os.read(self.fd, PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            if len(to.queue) < QUEUED_MAX:
                to.queue.append((time.monotonic() + delay, packet))

    def deliver(self) -> None:
        """Writes what is due."""
        while self.queue and self.queue[0][0] <= time.monotonic():
            with contextlib.suppress(OSError):  # lost, as when the device's own queue is full
                os.write(self.fd, self.queue.popleft()[1])


def _open_tun(namespace: str) -> int:
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    its = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        _enter(its)
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
        return fd
    finally:
        _enter(own)
        os.close(own)
        os.close(its)


def _enter(namespace: int) -> None:
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


def forward(ends: tuple[End, End], delay: float) -> None:
    """Moves packets until standard input ends."""
    one, other = ends
    while True:
        dues = [end.queue[0][0] for end in ends if end.queue]
        wait = max(0.0, min(dues) - time.monotonic()) if dues else None
        ready, _, _ = select.select([one.fd, other.fd, 0], [], [], wait)
        if 0 in ready and not os.read(0, 1):
            return
        if one.fd in ready:
            one.take(other, delay)
        if other.fd in ready:
            other.take(one, delay)
        one.deliver()
        other.deliver()


def main(arguments: list[str]) -> int:
    """Says `ready` on standard output once the link is up."""
    if len(arguments) != 5:
        print(__doc__, file=sys.stderr)
        return 2
    delay, near, near_address, far, far_address = arguments
    LIBC.prctl(PR_SET_TIMERSLACK, 1000)  # nanoseconds, instead of 50 microseconds
    ends = (End(near, near_address), End(far, far_address))
    print("ready", flush=True)
    forward(ends, int(delay) / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
