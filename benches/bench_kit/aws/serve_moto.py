"""Serves moto on the ports that are named on standard input, a line each: `serve_moto.py`.

One process can be filled through a port that nobody else knows and be shown to the world later, on
another one. It ends with its standard input, so that it never outlives who started it.
"""

import os
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main() -> None:
    application = DomainDispatcherApplication(create_backend_app)
    for line in sys.stdin:
        server = make_server("127.0.0.1", int(line), application, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(line.strip(), flush=True)
    os._exit(0)


main()
