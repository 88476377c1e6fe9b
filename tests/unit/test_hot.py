"""xdpws._hot: a walker over events that the test makes, with an engine that the test plays."""
from __future__ import annotations

import ctypes
import gc
import select
import struct
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numba
import pytest

import xdpws.compiled
from xdpws._enums import Err
from xdpws._ffi import ffi, lib
from xdpws._hot import Message, Walker
from xdpws.compiled import CompiledHandler
from xdpws.errors import UsageError
from xdpws.timestamps import Stamps

MESSAGE = lib.XW_EV_MESSAGE


def address(thing: Any) -> int:
    return int(ffi.cast("uintptr_t", thing))


class Engine:
    """Gives the events of one poll after the other. Its clock stands still until it is moved; an empty poll moves it
    by 1,000 ns, a spin by what it was asked for."""

    def __init__(self, *polls: list[tuple[int, bytes]] | int, batch: int = 16,
                 on_batch: Callable[[list[Message]], object] | None = None) -> None:
        self.polls = list(polls)
        self.now = 100
        self.keep: list[Any] = []
        self.others: list[int] = []
        self.spins: list[int] = []
        self.on_error: Callable[[int], object] = self._raise
        self.events = ffi.new("struct xw_event[]", batch)
        self._poll = ffi.callback("int(void *, uint64_t, struct xw_event *, uint32_t)", self.poll)
        self._spin = ffi.callback("int(void *, uint64_t, struct xw_event *, uint32_t)", self.spin)
        self.sent: list[tuple[int, int, bytes]] = []
        self.room: list[int] = []
        self.waits: list[int] = []
        self.ready: list[int] = []
        self.on_wait: Callable[[int], int] | None = None
        self.due = (1 << 64) - 1
        self._deadline = ffi.callback("uint64_t(void *)", lambda engine: self.due)
        self._wait = ffi.callback("int(void *, uint64_t)", self.wait)
        self._send = ffi.callback("int64_t(void *, uint32_t, uint8_t, const void *, uint64_t, uint64_t)", self.send)
        self._clock = ffi.callback("uint64_t(void)", lambda: self.now)
        self.walker = Walker(engine=1, events=address(self.events), batch=batch, poll=address(self._poll),
                             spin=address(self._spin), deadline=address(self._deadline),
                             wait=address(self._wait), send=address(self._send), clock=address(self._clock),
                             on_event=self.others.append,
                             on_error=lambda code: self.on_error(code), on_batch=on_batch, stamps=Stamps)

    def poll(self, engine: Any, now: int, events: Any, room: int) -> int:
        if not self.polls:
            self.now += 1000
            return 0
        step = self.polls.pop(0)
        if isinstance(step, int):
            return step
        assert len(step) <= room
        for i, (conn, payload) in enumerate(step):
            self.keep.append(ffi.new("uint8_t[]", payload or b"\0"))
            event = events[i]
            event.user, event.conn, event.type, event.opcode = 1000 + conn, conn, MESSAGE, 1
            event.len, event.data = len(payload), self.keep[-1]
            event.stamps = {"kernel_ns": 5, "ring_ns": 6, "valid": lib.XW_ST_KERNEL}
        return len(step)

    def spin(self, engine: Any, spin_ns: int, events: Any, room: int) -> int:
        self.spins.append(spin_ns)
        count = self.poll(engine, self.now, events, room)
        if not count:
            self.now += spin_ns - 1000
        return count

    def wait(self, engine: Any, timeout_ns: int) -> int:
        """A test that never gives anything ends by its time."""
        self.waits.append(timeout_ns)
        if self.on_wait is not None:
            return self.on_wait(timeout_ns)
        self.now += min(timeout_ns, 1 << 62)
        return self.ready.pop(0) if self.ready else 0

    def send(self, engine: Any, conn: int, opcode: int, data: Any, length: int, now: int) -> int:
        room = self.room.pop(0) if self.room else length
        if room >= 0:
            self.sent.append((conn, opcode, bytes(ffi.buffer(data, min(room, length)))))
        return min(room, length)

    def bind(self, conn: int, callback: Any, session: Any = None) -> Any:
        return self.walker.bind(conn, 1000 + conn, callback, session)

    def _raise(self, code: int) -> None:
        raise OSError(code)


def one(payload: bytes, use: Callable[[Message], Any]) -> tuple[Any, Message]:
    """What `use` makes of a message in its callback, and the message afterwards."""
    engine = Engine([(1, payload)])
    seen: list[Any] = []
    engine.bind(1, lambda message: seen.extend((use(message), message)), "the session")
    assert engine.walker.step(0) == 1
    return seen[0], seen[1]


# ---- a message --------------------------------------------------------------------------------------------------


def test_a_message_shows_what_it_is() -> None:
    def use(m: Message) -> Any:
        return (bytes(m), len(m), m.text, m.binary, m.data.tobytes(), m.data.readonly, m.data is m.data, m.session,
                m.stamps, repr(m))

    raw = "žluť".encode()
    assert one(raw, use)[0] == (raw, 6, "žluť", False, raw, True, True, "the session",
                                Stamps(kernel=5, user=100), "<Message text, 6 bytes>")
    assert one(b"", lambda m: (len(m), m.text, bytes(m.data)))[0] == (0, "", b"")


def test_it_has_the_buffer_protocol() -> None:
    assert one(b"\x01\x02\0\0", lambda m: struct.unpack_from("<HH", m))[0] == (513, 0)  # type: ignore[arg-type]
    assert one(b"x", lambda m: memoryview(m).readonly)[0]


def test_text_that_is_none() -> None:
    def use(m: Message) -> None:
        with pytest.raises(UnicodeDecodeError):
            _ = m.text

    one(b"\xff", use)


def test_no_copy_is_made() -> None:
    engine = Engine([(1, b"before")])

    def callback(message: Message) -> None:
        view = message.data
        ffi.memmove(engine.keep[0], b"behind", 6)
        assert bytes(view) == b"behind"
        assert message.text == "behind"

    engine.bind(1, callback)
    assert engine.walker.step(0) == 1


def test_over() -> None:
    _, kept = one(b"x", lambda m: m.data)
    for use in (bytes, len, lambda m: m.text, lambda m: m.data, struct.Struct("B").unpack_from):
        with pytest.raises((ValueError, BufferError), match="released"):
            use(kept)
    with pytest.raises(ValueError, match="only in its callback"):
        _ = kept.stamps
    assert (kept.binary, repr(kept)) == (False, "<Message text, its callback is over>")


def test_a_view_that_was_taken_is_released() -> None:
    view, _ = one(b"x", lambda m: m.data)
    with pytest.raises(ValueError, match="released"):
        bytes(view)


def test_one_object_serves_until_somebody_keeps_it() -> None:
    engine = Engine([(1, b"a"), (1, b"b"), (1, b"c")])
    ids: list[int] = []
    kept: list[Message] = []

    def callback(message: Message) -> None:
        ids.append(id(message))
        if message.text == "b":
            kept.append(message)

    engine.bind(1, callback)
    engine.walker.step(0)
    assert ids[0] == ids[1] != ids[2]
    assert repr(kept[0]) == "<Message text, its callback is over>"


# ---- the walk ---------------------------------------------------------------------------------------------------


def test_events_go_where_they_are_bound_and_the_others_to_on_event() -> None:
    engine = Engine([(1, b"a"), (2, b"b"), (3, b"c"), (1, b"d")])
    got: list[tuple[str, str]] = []
    first = engine.bind(1, lambda m: got.append(("first", m.text)))
    engine.bind(2, lambda m: got.append(("second", m.text)))
    assert engine.walker.step(0) == 4
    assert got == [("first", "a"), ("second", "b"), ("first", "d")]
    assert engine.others == [2]
    assert first.messages == 2


def test_an_event_of_an_older_connection_in_the_same_slot_is_not_bound() -> None:
    engine = Engine([(1, b"a")])
    engine.walker.bind(1, 77, lambda m: pytest.fail("not its own"), None)
    engine.walker.step(0)
    assert engine.others == [0]


def test_unbound_means_on_event_again() -> None:
    engine = Engine([(1, b"a")], [(1, b"b")])
    got: list[str] = []
    engine.bind(1, lambda m: got.append(m.text))
    engine.walker.step(0)
    engine.walker.unbind(65537)  # the same slot, another generation: nothing
    engine.walker.unbind(1)
    engine.walker.unbind(1)
    engine.walker.step(0)
    assert (got, engine.others) == (["a"], [0])


def test_an_exception_ends_the_step_and_nothing_is_lost() -> None:
    engine = Engine([(1, b"a"), (1, b"b"), (2, b"?"), (1, b"c")], [(1, b"d")])
    got: list[str] = []

    def callback(message: Message) -> None:
        got.append(message.text)
        raise KeyError(message.text)

    engine.bind(1, callback)
    for text, waiting in (("a", 3), ("b", 2), ("c", 0), ("d", 0)):
        with pytest.raises(KeyError, match=text):
            engine.walker.step(0)
        assert engine.walker.waiting == waiting
    assert (got, engine.others) == (["a", "b", "c", "d"], [2])


def test_an_exception_says_more_than_a_view_that_cannot_be_released() -> None:
    engine = Engine([(1, b"a")])
    taken: list[Any] = []

    def callback(message: Message) -> None:
        taken.append(memoryview(message.data))
        taken.append((ctypes.c_char * 0).from_buffer_copy(message.data))
        raise KeyError("mine")

    engine.bind(1, callback)
    with pytest.raises(KeyError, match="mine"):
        engine.walker.step(0)


def test_run_goes_on_until_another_event_or_its_time() -> None:
    engine = Engine([(1, b"a")], [(1, b"b"), (2, b"?")], [(1, b"c")])
    got: list[str] = []
    engine.bind(1, lambda m: got.append(m.text))
    assert engine.walker.run(False, engine.now + 50_000) is False
    assert (got, engine.others, engine.waits) == (["a", "b"], [1], [])
    assert engine.walker.run(False, engine.now + 50_000) is False
    assert (got, engine.waits) == (["a", "b", "c"], [49_000])


def test_a_wait_ends_with_the_engines_deadline_and_goes_on() -> None:
    engine = Engine()
    engine.due = engine.now + 5_000
    engine.ready = [0, 1]
    engine.walker.run(False, engine.now + 9_000)
    assert engine.waits[0] == 4_000
    assert engine.now >= 9_100


def test_news_of_a_watched_descriptor_end_a_run() -> None:
    engine = Engine([], [(1, b"a")])
    engine.bind(1, print)
    engine.ready = [2]
    assert engine.walker.run(False, 1 << 62) is True
    assert len(engine.polls) == 1


def test_stop_from_another_thread_ends_a_wait() -> None:
    engine = Engine()
    real = select.poll()
    real.register(engine.walker.wake_fd, select.POLLIN)
    thread = threading.Thread(target=engine.walker.stop)

    def wait(timeout_ns: int) -> int:
        thread.start()
        assert real.poll(10_000)
        return 2

    engine.on_wait = wait
    assert engine.walker.run(False, 1 << 62) is False
    thread.join(10)
    assert real.poll(0) == []


def test_a_busy_run_ends_with_its_time() -> None:
    engine = Engine([(1, b"a")])
    got: list[str] = []
    engine.bind(1, lambda m: got.append(m.text))
    engine.walker.run(True, engine.now + 100_000)
    assert got == ["a"]
    assert engine.now >= 100_100
    assert set(engine.spins) == {20_000}


def test_stop_ends_behind_the_message() -> None:
    engine = Engine([(1, b"a"), (1, b"b")], [(1, b"c")])
    got: list[str] = []

    def callback(message: Message) -> None:
        got.append(message.text)
        if message.text == "a":
            engine.walker.stop()

    engine.bind(1, callback)
    engine.walker.run(True, 1 << 62)
    assert (got, engine.walker.waiting) == (["a"], 1)
    engine.walker.run(False, engine.now + 9_000)
    assert got == ["a", "b", "c"]


def test_other_threads_run_while_it_spins() -> None:
    engine = Engine()
    thread = threading.Thread(target=engine.walker.stop)
    thread.start()
    engine.walker.run(True, 1 << 62)  # for ever, if the thread got no turn
    thread.join(10)
    assert not thread.is_alive()


def test_wrong_use_and_errors_are_told() -> None:
    engine = Engine([(1, b"a")], int(Err.ETHREAD))
    codes: list[int] = []
    engine.bind(1, lambda m: engine.walker.step(0))

    def on_error(code: int) -> None:
        codes.append(code)
        if code != 0:
            raise UsageError(str(code))

    engine.on_error = on_error
    with pytest.raises(UsageError, match=str(int(Err.ESTATE))):
        engine.walker.step(0)
    with pytest.raises(UsageError, match=str(int(Err.ETHREAD))):
        engine.walker.run(True, 1 << 62)
    engine.walker.close()
    with pytest.raises(UsageError, match=str(int(Err.ECLOSED))):
        engine.walker.step(0)
    with pytest.raises(ValueError, match="is 0"):
        Walker(engine=0, events=1, batch=1, poll=1, spin=1, deadline=1, wait=1, send=1, clock=1,
               on_event=print, on_error=print, on_batch=None, stamps=Stamps)
    with pytest.raises(TypeError):
        Message()


def test_close_in_a_callback_ends_the_walk() -> None:
    engine = Engine([(1, b"a"), (1, b"b")])
    got: list[str] = []

    def callback(message: Message) -> None:
        got.append(message.text)
        engine.walker.close()

    engine.bind(1, callback)
    engine.walker.step(0)
    assert got == ["a"]


def test_nothing_leaks_and_cycles_are_found() -> None:
    class Session:
        pass

    def cycle() -> weakref.ref[Session]:
        engine = Engine([(1, b"a")], batch=4)
        session = Session()
        session.engine = engine  # type: ignore[attr-defined]
        session.binding = engine.bind(1, lambda m: m.session, session)  # type: ignore[attr-defined]
        engine.walker.step(0)
        return weakref.ref(session)

    gone = cycle()
    gc.collect()
    assert gone() is None
    engine = Engine(*[[(1, b"x" * 100)] for _ in range(2000)])
    engine.bind(1, lambda m: (m.data, m.stamps, m.text))
    for _ in range(1000):
        engine.walker.step(0)
    before = sys.getallocatedblocks()
    for _ in range(1000):
        engine.walker.step(0)
    assert sys.getallocatedblocks() - before < 20 + 3 * 1000  # what the test itself keeps: three blocks a poll


# ---- sending ----------------------------------------------------------------------------------------------------


def test_a_binding_sends_at_once() -> None:
    engine = Engine()
    binding = engine.bind(7, print)
    for data in ("žluť", b"bytes", bytearray(b"array"), memoryview(b"view")):
        assert binding.send(data) is True
    assert engine.sent == [(7, 1, "žluť".encode()), (7, 2, b"bytes"), (7, 2, b"array"), (7, 2, b"view")]


def test_what_was_not_taken_comes_back() -> None:
    engine = Engine()
    engine.room = [2, 0, int(Err.EAGAIN), int(Err.ECLOSED), int(Err.EINVAL)]
    binding = engine.bind(7, print)
    assert binding.send("four") == b"ur"
    assert binding.send(b"four") == b"four"
    assert binding.send(b"four") is False
    assert binding.send(b"four") is False
    with pytest.raises(OSError, match=str(int(Err.EINVAL))):
        binding.send(b"four")
    engine.walker.close()
    with pytest.raises(OSError, match=str(int(Err.ECLOSED))):
        binding.send(b"four")
    for wrong in (5, None, "\ud800"):
        with pytest.raises((TypeError, UnicodeEncodeError)):
            binding.send(wrong)
    assert engine.sent == [(7, 1, b"fo"), (7, 2, b"")]


# ---- batches ----------------------------------------------------------------------------------------------------


def test_a_batch_is_all_messages_of_a_poll() -> None:
    batches: list[list[tuple[Any, str]]] = []
    kept: list[Message] = []

    def on_batch(messages: list[Message]) -> None:
        batches.append([(m.session, m.text) for m in messages])
        kept.append(messages[0])

    engine = Engine([(1, b"a"), (2, b"b"), (3, b"?"), (1, b"c")], [(2, b"d")], on_batch=on_batch)
    a, b = engine.bind(1, None, "one"), engine.bind(2, None, "two")
    engine.walker.step(0)
    engine.walker.step(0)
    assert batches == [[("one", "a"), ("two", "b")], [("one", "c")], [("two", "d")]]
    assert engine.others == [2]
    assert (a.messages, b.messages) == (2, 2)
    assert {repr(m) for m in kept} == {"<Message text, its callback is over>"}


def test_an_exception_in_a_batch_loses_no_other_batch() -> None:
    seen: list[int] = []

    def on_batch(messages: list[Message]) -> None:
        seen.append(len(messages))
        raise KeyError(len(messages))

    engine = Engine([(1, b"a"), (1, b"b")], [(1, b"c")], on_batch=on_batch)
    engine.bind(1, None)
    for _ in range(2):
        with pytest.raises(KeyError):
            engine.walker.step(0)
    assert seen == [2, 1]


# ---- compiled handlers ------------------------------------------------------------------------------------------


def test_a_compiled_handler_gets_runs_of_its_messages() -> None:
    runs: list[tuple[int, int, list[bytes]]] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
    def handler(events: int, count: int, context: int) -> int:
        all_of = ffi.cast("struct xw_event *", events)
        runs.append((context, count, [bytes(ffi.buffer(all_of[i].data, all_of[i].len)) for i in range(count)]))
        return int(runs[-1][2][-1] == b"stop")

    engine = Engine([(1, b"a"), (1, b"b"), (2, b"?"), (1, b"stop"), (1, b"d")], [(1, b"e")])
    made = CompiledHandler.of(handler, context=42)
    binding = engine.walker.bind(1, 1001, None, None, compiled=made.address, context=made.context)
    engine.walker.run(False, engine.now + 9_000)
    assert runs == [(42, 2, [b"a", b"b"]), (42, 2, [b"stop", b"d"])]
    assert (engine.others, binding.messages) == ([2], 4)
    engine.walker.run(True, engine.now + 30_000)
    assert runs[2:] == [(42, 1, [b"e"])]


def test_numba_compiles_one() -> None:
    event = numba.from_dtype(xdpws.compiled.event_dtype())
    signature = numba.types.intc(numba.types.CPointer(event), numba.types.uint32, numba.types.voidptr)

    @numba.cfunc(signature)  # type: ignore[untyped-decorator]
    def handler(events: Any, count: Any, context: Any) -> Any:
        total = numba.carray(context, 2, numba.types.uint64)
        view = numba.carray(events, count)
        for i in range(count):
            total[0] += 1
            total[1] += view[i].len + view[i].stamps.kernel_ns
        return 0

    total = ffi.new("uint64_t[2]")
    engine = Engine([(1, b"four"), (1, b"seventy")])
    made = CompiledHandler.of(handler, address(total))
    engine.walker.bind(1, 1001, None, None, compiled=made.address, context=made.context)
    engine.walker.run(False, engine.now + 9_000)
    assert list(total) == [2, 4 + 7 + 2 * 5]


def test_what_is_no_compiled_handler() -> None:
    for wrong in (print, "0x1", None):
        with pytest.raises(UsageError, match="no compiled function"):
            CompiledHandler.of(wrong)
    with pytest.raises(UsageError, match="not 0"):
        CompiledHandler(0)
