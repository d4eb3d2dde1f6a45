"""Serves moto until its standard input ends: it never outlives the test that started it."""

import os
import sys
import threading

from moto.server import main


def end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
