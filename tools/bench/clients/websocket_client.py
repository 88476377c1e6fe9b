"""websocket-client: synchronous, without its UTF-8 check."""
from __future__ import annotations

from time import monotonic_ns
from typing import Any

import websocket

NAMES = ("websocket-client",)


def run(run: Any) -> None:
    """Receive until the last message."""
    take, message = run.take, run.message.decode()
    ws = websocket.create_connection(run.url, sslopt={"ca_certs": run.ca}, skip_utf8_validation=True,
                                     enable_multithread=False)
    run.armed()
    recv = ws.recv_data
    while True:
        if run.echo:
            run.asked = monotonic_ns()
            ws.send(message)
        _, payload = recv()
        t = monotonic_ns()
        if take(t, payload):
            break
    ws.shutdown()
