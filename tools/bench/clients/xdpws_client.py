"""xdpws.Client: callback, the payload a memoryview. Options: transport, interface, busy (1 or 0), stages (1 or 0),
huge (1 or 0: 2 MiB pages), take: message (default), batch (on_batch), or the path of build/bench/handler.so (a compiled
handler; it cannot echo)."""
from __future__ import annotations

import ctypes
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from xdpws.client import Client
from xdpws.compiled import CompiledHandler
from xdpws.config import TlsOptions, XdpOptions
from xdpws.messages import Message
from xdpws.timestamps import Histogram

NAMES = ("xdpws",)
# stage: the stamps between which it lies; "sent" is the time in the payload
STAGES = {"sent_to_kernel": ("sent", "kernel"), "kernel_to_ring": ("kernel", "ring"),
          "ring_to_decrypt": ("ring", "decrypt_begin"), "decrypt": ("decrypt_begin", "decrypt_end"),
          "parse": ("decrypt_end", "parsed"), "parsed_to_user": ("parsed", "user")}


def _feed(run: Any) -> Callable[[Message], None]:
    take = run.take

    def on_message(message: Message) -> None:
        t = monotonic_ns()
        if take(t, message.data):
            run.stop()

    return on_message


def _batch(run: Any) -> Callable[[list[Message]], None]:
    take = run.take

    def on_batch(messages: list[Message]) -> None:
        t = monotonic_ns()
        for message in messages:
            if take(t, message.data):
                run.stop()

    return on_batch


class _Tally(ctypes.Structure):
    """`struct tally` of tools/bench/handler.c."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("warm", "total", "got", "bad", "first", "last", "lat"))


def _compiled(run: Any, path: str) -> tuple[CompiledHandler, _Tally]:
    library = ctypes.CDLL(path)
    address = 0 if run.mode == "blast" else run.latencies.buffer_info()[0]
    tally = _Tally(run.warm, run.total, 0, 0, 0, 0, address)
    return CompiledHandler.of(library.bench_handler, ctypes.addressof(tally), (library, tally)), tally


def _echo(run: Any) -> Callable[[Message], None]:
    take, text = run.take, run.message.decode()

    def on_message(message: Message) -> None:
        t = monotonic_ns()
        if take(t, message.data):
            run.stop()
        else:
            run.asked = monotonic_ns()
            message.session.send(text)

    return on_message


def _staged(run: Any, histograms: dict[str, Histogram]) -> Callable[[Message], None]:
    feed = _feed(run)

    def on_message(message: Message) -> None:
        stamps = message.stamps
        if run.got >= run.warm:
            sent = int(message.data[7:26])
            for name, (begin, end) in STAGES.items():
                a = sent if begin == "sent" else getattr(stamps, begin)
                b = getattr(stamps, end)
                if a is not None and b is not None:
                    histograms[name].record(b - a)
        feed(message)

    return on_message


def run(run: Any) -> None:
    """Receive until the last message."""
    histograms = {name: Histogram() for name in STAGES}
    staged = run.options.get("stages") == "1"
    on_message = _echo(run) if run.echo else _staged(run, histograms) if staged else _feed(run)
    transport = run.options["transport"]
    busy = run.options["busy"] == "1"
    huge = run.options.get("huge") == "1"
    xdp = XdpOptions(run.options["interface"], busy_poll=busy, huge_pages=huge) if transport == "xdp" else None

    def on_open(session: Any) -> None:
        run.armed()
        if run.echo:
            run.asked = monotonic_ns()
            session.send(run.message.decode())

    how = run.options.get("take", "message")
    handler: Any = on_message
    tally = None
    if how == "batch" and not run.echo:
        handler = None
    elif how != "message" and how != "batch":
        handler, tally = _compiled(run, how)
    client = Client(run.url, handler, on_open=on_open, transport=transport, xdp=xdp, tls=TlsOptions(ca_file=run.ca),
                    busy_poll=busy, on_batch=None if handler else _batch(run))
    run.stop = client.stop
    try:
        client.run(30)
    finally:
        if tally is not None:
            run.got, run.bad, run.first, run.last = tally.got, tally.bad, tally.first, tally.last
            run.disarm()
        client.close(timeout=1.0)
    if staged:
        run.stages = {name: h.summary() for name, h in histograms.items() if h.count}
