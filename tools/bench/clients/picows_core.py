"""picows: listener callbacks, the payload as a memoryview."""
from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import Any

from picows import WSListener, WSMsgType, ws_connect

NAMES = ("picows", "aiofastnet")
TEXT = WSMsgType.TEXT


async def run(run: Any) -> None:
    """Receive until the last message."""
    done = asyncio.get_running_loop().create_future()
    take, message = run.take, run.message

    def ended() -> None:
        if not done.done():
            done.set_result(None)

    class Feed(WSListener):  # type: ignore[misc]
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            t = monotonic_ns()
            if frame.msg_type == TEXT and take(t, frame.get_payload_as_memoryview()):
                ended()

        def on_ws_disconnected(self, transport: Any) -> None:
            ended()

    class Echo(Feed):
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            t = monotonic_ns()
            if take(t, frame.get_payload_as_memoryview()):
                ended()
            else:
                run.asked = monotonic_ns()
                transport.send(TEXT, message)

    transport, _ = await ws_connect(Echo if run.echo else Feed, run.url, ssl_context=run.tls())
    run.armed()
    if run.echo:
        run.asked = monotonic_ns()
        transport.send(TEXT, message)
    await done
    transport.disconnect(False)
