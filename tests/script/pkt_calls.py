"""Calls of a script, made on the stack in a box as an adapter for packetdrill would make them.

``Calls.start`` begins one; ``resume`` is tried after everything that happens until it says more than BLOCKED. What the
stack cannot do raises ``Unsupported``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pkt_errno import NAMES, address, errno_of, number
from pkt_stack import Stack
from pkt_syntax import ANY, NS, Call, Word, fields
from pkt_wire import pattern

EAGAIN, EINPROGRESS, EALREADY, EBADF = -11, -115, -114, -9
BLOCKED = object()


class Unsupported(Exception):
    """The script needs what the stack, or this runner, does not have."""


class Wrong(Exception):
    """What was seen is not what the script says."""


@dataclass(slots=True)
class Fd:
    fd: int
    nonblock: bool = False
    corked: bool = False
    written: int = 0  # octets of pattern given to the stack
    read: int = 0
    epoll: dict[int, int] | None = None


@dataclass(slots=True)
class Pending:
    call: Call
    resume: Callable[[], Any]
    data: dict[str, int] = field(default_factory=dict)


# option of C → option of the stack, what one unit of C is in ours
OPTIONS: dict[tuple[int, int], tuple[str, int]] = {
    (1, NAMES["SO_REUSEADDR"]): ("REUSEADDR", 1), (1, NAMES["SO_KEEPALIVE"]): ("KEEPALIVE", 1),
    (1, NAMES["SO_RCVBUF"]): ("RCVBUF", 1), (1, NAMES["SO_SNDBUF"]): ("SNDBUF", 1),
    (1, NAMES["SO_ERROR"]): ("SO_ERROR", 1), (1, NAMES["SO_ACCEPTCONN"]): ("ACCEPTCONN", 1),
    (6, NAMES["TCP_NODELAY"]): ("NODELAY", 1), (6, NAMES["TCP_MAXSEG"]): ("MSS", 1),
    (6, NAMES["TCP_KEEPIDLE"]): ("KEEP_IDLE", NS), (6, NAMES["TCP_KEEPINTVL"]): ("KEEP_INTERVAL", NS),
    (6, NAMES["TCP_KEEPCNT"]): ("KEEP_PROBES", 1), (6, NAMES["TCP_SYNCNT"]): ("SYN_RETRIES", 1),
    (6, NAMES["TCP_USER_TIMEOUT"]): ("USER_TIMEOUT", NS // 1000), (6, NAMES["TCP_CORK"]): ("CORK", 1),
    (6, NAMES["TCP_WINDOW_CLAMP"]): ("WINDOW_CLAMP", 1), (6, NAMES["TCP_NOTSENT_LOWAT"]): ("NOTSENT_LOWAT", 1),
    (0, NAMES["IP_TOS"]): ("TOS", 1), (0, NAMES["IP_TTL"]): ("TTL", 1),
}
# set without effect here: they are about the host, not about TCP
HARMLESS = {(1, NAMES[n]) for n in ("SO_DEBUG", "SO_MARK", "SO_PRIORITY", "SO_BUSY_POLL", "SO_REUSEPORT",
                                    "SO_DONTROUTE", "SO_MAX_PACING_RATE", "SO_OOBINLINE")} | {(0, NAMES["IP_FREEBIND"])}


class Calls:
    def __init__(self, stack: Stack, now: Callable[[], int], defaults: dict[str, int],
                 addresses: dict[str, int], any_host: bool = False) -> None:
        self.stack = stack
        self.any_host = any_host
        self.now = now
        self.defaults = defaults    # options of each new socket
        self.addresses = addresses  # local_ip, remote_ip, port
        self.fds: dict[int, Fd] = {}
        self.last: Fd | None = None  # the socket that assertions speak of

    # ---- arguments --------------------------------------------------------------------------------------------------

    def num(self, v: object) -> int:
        if isinstance(v, int):
            return v
        if isinstance(v, Word):
            n = number(v.name)
            if n is None:
                raise Unsupported(f"constant {v.name}")
            return n
        if isinstance(v, tuple) and v[0] == "|":
            return self.num(v[1]) | self.num(v[2])
        if isinstance(v, list) and len(v) == 1:
            return self.num(v[0])
        raise Unsupported(f"value {v!r}")

    def fd(self, v: object) -> Fd:
        n = self.num(v)
        return self.fds.get(n) or Fd(1 << 20)  # a number that names none: EBADF

    def sockaddr(self, v: object, remote: bool) -> tuple[int, int]:
        if v is ANY:
            return self.addresses["remote_ip" if remote else "local_ip"], self.addresses["port"]
        f = fields(v)
        port, addr = f.get("sin_port"), f.get("sin_addr")
        ip = self.addresses["remote_ip" if remote else "local_ip"]
        if isinstance(addr, tuple) and isinstance(addr[2][0], str):
            ip = address(addr[2][0])
        elif isinstance(addr, Word) and addr.name == "INADDR_ANY":
            ip = 0
        return ip, self.num(port[2][0]) if isinstance(port, tuple) else self.addresses["port"]

    def length(self, data: object, count: object | None) -> tuple[int, bytes | None]:
        if isinstance(data, str):
            raw = data.encode("latin-1")
            return (self.num(count) if count is not None else len(raw)), raw
        return self.num(count), None

    @staticmethod
    def iov(v: object, num: Callable[[object], int]) -> int:
        total = 0
        for one in v if isinstance(v, list) else []:
            items = one["items"]
            total += len(items[0]) if isinstance(items[0], str) else num(items[1])
        return total

    # ---- begin and go on --------------------------------------------------------------------------------------------

    def start(self, call: Call) -> Pending:
        method = getattr(self, f"do_{call.name}", None)
        if method is None:
            raise Unsupported(f"call {call.name}")
        return Pending(call, method(call.args, call))

    @staticmethod
    def once(value: Any) -> Callable[[], Any]:
        return lambda: value

    def again(self, f: Fd, flags: int, attempt: Callable[[], int]) -> Callable[[], Any]:
        def resume() -> Any:
            rc = attempt()
            blocking = not f.nonblock and not flags & NAMES["MSG_DONTWAIT"]
            return BLOCKED if rc == EAGAIN and blocking else rc
        return resume

    # ---- calls ------------------------------------------------------------------------------------------------------

    def new_fd(self, fd: int, call: Call, nonblock: bool = False) -> int:
        if fd < 0:
            return fd
        script = call.result if isinstance(call.result, int) and call.result >= 0 else 3 + len(self.fds)
        self.fds[script] = self.last = Fd(fd, nonblock)
        return script

    def do_socket(self, args: list, call: Call) -> Callable[[], Any]:
        kind = self.num(args[1]) if len(args) > 1 else 1
        if kind & 0xf != 1:
            raise Unsupported("no TCP socket")
        fd = self.stack.lib.xw_stack_socket(self.stack.s)
        for name, value in self.defaults.items():
            rc = self.stack.set(fd, name, value, self.now())
            if rc and name != "CC":  # a script that names no congestion control does not depend on it
                raise Wrong(f"default {name}={value}: {rc}")
        return self.once(self.new_fd(fd, call, bool(kind & NAMES["SOCK_NONBLOCK"])))

    def do_bind(self, args: list, _: Call) -> Callable[[], Any]:
        ip, port = self.sockaddr(args[1], False)
        return self.once(self.stack.lib.xw_stack_bind(self.stack.s, self.fd(args[0]).fd, ip, port))

    def do_listen(self, args: list, _: Call) -> Callable[[], Any]:
        return self.once(self.stack.lib.xw_stack_listen(self.stack.s, self.fd(args[0]).fd, max(self.num(args[1]), 0)))

    def do_accept(self, args: list, call: Call) -> Callable[[], Any]:
        f = self.fd(args[0])

        def attempt() -> int:
            fd = self.stack.lib.xw_stack_accept(self.stack.s, f.fd, self.stack.ffi.NULL, self.stack.ffi.NULL)
            return self.new_fd(fd, call)
        return self.again(f, 0, attempt)

    do_accept4 = do_accept

    def do_connect(self, args: list, _: Call) -> Callable[[], Any]:
        f = self.fd(args[0])
        ip, port = self.sockaddr(args[1], True)

        def first() -> int:
            return int(self.stack.lib.xw_stack_connect(self.stack.s, f.fd, ip, port, self.now()))
        rc = first()
        self.last = f
        if rc != EINPROGRESS or f.nonblock:
            return self.once(rc)

        def resume() -> Any:
            bits = self.stack.lib.xw_stack_poll(self.stack.s, f.fd)
            if not bits & 0x1c:
                return BLOCKED
            rc, err = self.stack.get(f.fd, "SO_ERROR")
            return rc or err
        return resume

    def reader(self, f: Fd, want: int, flags: int, null: bool = False) -> Callable[[], Any]:
        def attempt() -> int:
            if null and self.stack.get(f.fd, "INQ")[1]:
                return -errno_of("EFAULT")
            n, data = self.stack.recv(f.fd, want, flags & NAMES["MSG_PEEK"], self.now())
            if n > 0 and data != pattern(f.read, n):
                raise Wrong(f"the octets read at {f.read} are not those that were sent")
            if n > 0 and not flags & NAMES["MSG_PEEK"]:
                f.read += n
            return n
        if flags & NAMES["MSG_ERRQUEUE"]:
            raise Unsupported("MSG_ERRQUEUE")
        return self.again(f, flags, attempt)

    def do_read(self, args: list, _: Call) -> Callable[[], Any]:
        return self.reader(self.fd(args[0]), self.num(args[2]), 0, args[1] == Word("NULL"))

    def do_recv(self, args: list, _: Call) -> Callable[[], Any]:
        return self.reader(self.fd(args[0]), self.num(args[2]), self.num(args[3]), args[1] == Word("NULL"))

    do_recvfrom = do_recv

    def do_readv(self, args: list, _: Call) -> Callable[[], Any]:
        return self.reader(self.fd(args[0]), self.iov(args[1], self.num), 0)

    def do_recvmsg(self, args: list, _: Call) -> Callable[[], Any]:
        f = fields(args[1])
        iov = next((v for k, v in f.items() if k.startswith("msg_iov")), [])
        if f.get("msg_control"):
            raise Unsupported("msg_control")
        return self.reader(self.fd(args[0]), self.iov(iov, self.num), self.num(args[2]))

    def writer(self, f: Fd, want: int, flags: int, null: bool = False) -> Callable[[], Any]:
        begun = {"n": 0}
        for bad in ("MSG_OOB", "MSG_FASTOPEN", "MSG_ZEROCOPY"):
            if flags & NAMES[bad]:
                raise Unsupported(bad)
        if flags & NAMES["MSG_MORE"] and not self.stack.has("MORE"):
            raise Unsupported("MSG_MORE")

        def resume() -> Any:
            if null:
                return -errno_of("EFAULT")
            data = pattern(f.written, want - begun["n"])
            if flags & NAMES["MSG_MORE"]:
                rc = int(self.stack.lib.xw_stack_send_more(self.stack.s, f.fd, data, len(data), self.now()))
            else:
                rc = int(self.stack.lib.xw_stack_send(self.stack.s, f.fd, data, len(data), self.now()))
            if rc > 0:
                begun["n"] += rc
                f.written += rc
            blocking = not f.nonblock and not flags & NAMES["MSG_DONTWAIT"]
            if not blocking:
                return rc
            if rc == EAGAIN or 0 < begun["n"] < want:
                return BLOCKED
            return begun["n"] or rc
        return resume

    def do_write(self, args: list, _: Call) -> Callable[[], Any]:
        return self.writer(self.fd(args[0]), self.length(args[1], args[2])[0], 0, args[1] == Word("NULL"))

    def do_send(self, args: list, _: Call) -> Callable[[], Any]:
        return self.writer(self.fd(args[0]), self.length(args[1], args[2])[0], self.num(args[3]),
                           args[1] == Word("NULL"))

    do_sendto = do_send

    def do_writev(self, args: list, _: Call) -> Callable[[], Any]:
        return self.writer(self.fd(args[0]), self.iov(args[1], self.num), 0)

    def do_sendmsg(self, args: list, _: Call) -> Callable[[], Any]:
        iov = next((v for k, v in fields(args[1]).items() if k.startswith("msg_iov")), [])
        return self.writer(self.fd(args[0]), self.iov(iov, self.num), self.num(args[2]))

    def do_close(self, args: list, _: Call) -> Callable[[], Any]:
        f = self.fds.pop(self.num(args[0]), None)
        if f is None or f.epoll is not None:
            return self.once(0 if f else EBADF)
        return self.once(self.stack.lib.xw_stack_close(self.stack.s, f.fd, self.now()))

    def do_shutdown(self, args: list, _: Call) -> Callable[[], Any]:
        how = self.num(args[1])
        return self.once(self.stack.lib.xw_stack_shutdown(self.stack.s, self.fd(args[0]).fd, how, self.now()))

    def do_fcntl(self, args: list, _: Call) -> Callable[[], Any]:
        f = self.fd(args[0])
        if self.num(args[1]) == NAMES["F_GETFL"]:
            return self.once(NAMES["O_RDWR"] | (NAMES["O_NONBLOCK"] if f.nonblock else 0))
        f.nonblock = bool(self.num(args[2]) & NAMES["O_NONBLOCK"])
        return self.once(0)

    def do_ioctl(self, args: list, _: Call) -> Callable[[], Any]:
        known = {NAMES["SIOCINQ"]: "INQ", NAMES["SIOCOUTQ"]: "OUTQ", NAMES["SIOCOUTQNSD"]: "OUTQ_NSD"}
        name = known.get(self.num(args[1]))
        if name is None:
            raise Unsupported("ioctl")
        rc, value = self.stack.get(self.fd(args[0]).fd, name)
        if rc == 0 and len(args) > 2 and args[2] is not ANY and value != self.num(args[2]):
            raise Wrong(f"ioctl gives {value}, not {self.num(args[2])}")
        return self.once(rc)

    # ---- options ----------------------------------------------------------------------------------------------------

    def linger(self, v: object) -> int:
        f = fields(v)
        return self.num(f["linger"]) * NS if f.get("onoff") else -1

    def do_setsockopt(self, args: list, _: Call) -> Callable[[], Any]:
        f, level, name = self.fd(args[0]), self.num(args[1]), self.num(args[2])
        if (level, name) == (1, NAMES["SO_LINGER"]):
            return self.once(self.stack.set(f.fd, "LINGER", self.linger(args[3]), self.now()))
        if (level, name) in HARMLESS:
            return self.once(0)
        if (level, name) == (0, NAMES["IP_MTU_DISCOVER"]):
            return self.once(0)
        if (level, name) not in OPTIONS or not self.stack.has(OPTIONS[level, name][0]):
            raise Unsupported(f"setsockopt {level} {name}: {args[2]}")
        option, unit = OPTIONS[level, name]
        value = self.num(args[3])
        if option in ("REUSEADDR", "KEEPALIVE", "NODELAY", "CORK"):
            value = int(value != 0)
        return self.once(self.stack.set(f.fd, option, value * unit, self.now()))

    def do_getsockopt(self, args: list, _: Call) -> Callable[[], Any]:
        f, level, name = self.fd(args[0]), self.num(args[1]), self.num(args[2])
        if (level, name) == (1, NAMES["SO_LINGER"]):
            option, unit, want = "LINGER", 1, self.linger(args[3])
        elif (level, name) in OPTIONS and self.stack.has(OPTIONS[level, name][0]):
            option, unit = OPTIONS[level, name]
            want = None if args[3] is ANY or args[3] == [ANY] else self.num(args[3])
        else:
            raise Unsupported(f"getsockopt {level} {name}: {args[2]}")
        rc, value = self.stack.get(f.fd, option)
        if option == "SO_ERROR":
            value = -value
        if self.any_host and option in ("RCVBUF", "SNDBUF"):  # the kernel doubles or rounds them
            want = None
        if rc == 0 and want is not None and value // unit != want:
            raise Wrong(f"getsockopt gives {value // unit}, not {want}")
        return self.once(rc)

    # ---- readiness --------------------------------------------------------------------------------------------------

    def do_poll(self, args: list, _: Call) -> Callable[[], Any]:
        wants = [(self.fd(f["fd"]), self.num(f["events"]), f.get("revents")) for f in map(fields, args[0])]
        limit = self.num(args[2])
        ends = None if limit < 0 else self.now() + limit * 1_000_000

        def resume() -> Any:
            got = [self.stack.lib.xw_stack_poll(self.stack.s, f.fd) & (events | 0x38) for f, events, _ in wants]
            count = sum(g != 0 for g in got)
            if not count and (ends is None or self.now() < ends):
                return BLOCKED
            for bits, (_, _, revents) in zip(got, wants, strict=True):
                if revents is not None and bits != self.num(revents):
                    raise Wrong(f"poll gives {bits:#x}, not {self.num(revents):#x}")
            return count
        return resume

    def do_epoll_create(self, args: list, call: Call) -> Callable[[], Any]:
        script = call.result if isinstance(call.result, int) else 100
        self.fds[script] = Fd(1 << 20, epoll={})
        return self.once(script)

    def do_epoll_ctl(self, args: list, _: Call) -> Callable[[], Any]:
        raise Unsupported("epoll")

    do_epoll_wait = do_epoll_ctl
