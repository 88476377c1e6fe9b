"""Source ports that no other program of the host can take while our stack uses them.

Shared mode: the address is the host's, so a port is reserved by a kernel TCP socket that is bound to (address, port)
and never listens or connects. The kernel then gives the port to nobody else, neither by bind nor for a connect of its
own. Such a socket matches no segment: if one of ours reaches the kernel (before the steering entry exists, or after the
program has left) the kernel answers it with RST, which is what the peer should hear then. While the entry exists the
kernel sees none of them. Dedicated mode: the address is not the host's, nobody else can use it: counting is enough.

Ports are tried in random order: a restarted program does not come back with the 4-tuple that its predecessor left
half open at the peer.
"""
from __future__ import annotations

import errno
import random
import socket
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

from xdpws.errors import SetupError, UsageError

#: IANA's dynamic ports, used where the kernel does not tell its own range.
DYNAMIC_PORTS = range(49152, 65536)
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_RESERVED = Path("/proc/sys/net/ipv4/ip_local_reserved_ports")


def parse_port_set(text: str) -> frozenset[int]:
    """The ports in the kernel's notation "8080,9000-9002"; malformed parts are left out."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        if first.isdigit() and (not dash or last.isdigit()):
            found.update(range(int(first), int(last if dash else first) + 1))
    return frozenset(found)


def local_ports() -> range:
    """The range from which the kernel of this network namespace takes source ports."""
    try:
        low, high = map(int, _RANGE.read_text().split())
    except (OSError, ValueError):
        return DYNAMIC_PORTS
    return range(low, high + 1)


def reserved_ports() -> frozenset[int]:
    """The ports that the administrator keeps out of automatic choice."""
    try:
        return parse_port_set(_RESERVED.read_text())
    except OSError:
        return frozenset()


def candidates(ports: Iterable[int], refused: frozenset[int], accept: Callable[[int], bool] | None,
               rng: random.Random) -> Iterator[int]:
    """The ports to try, in random order: those not refused which `accept` likes."""
    order = [port for port in ports if port not in refused]
    for i in range(len(order)):
        j = rng.randrange(i, len(order))  # a shuffle that goes only as far as it is read
        order[i], order[j] = order[j], order[i]
        if accept is None or accept(order[i]):
            yield order[i]


class PortReservation:
    """One reserved source port. `port` is in host byte order; `close` (or the end of a `with`) gives it back."""

    def __init__(self, address: IPv4Address, sock: socket.socket) -> None:
        self.address = address
        self.port: int = sock.getsockname()[1]
        self._sock: socket.socket | None = sock

    def close(self) -> None:
        """Gives the port back; may be called twice. Remove the steering entry first."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    @property
    def open(self) -> bool:
        """True until `close`."""
        return self._sock is not None

    def __enter__(self) -> PortReservation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bind(address: IPv4Address, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.bind((str(address), port))  # without SO_REUSEADDR: also nobody in TIME_WAIT on it
    except OSError:
        sock.close()
        raise
    return sock


def reserve_port(address: IPv4Address, port: int | None = None, *, ports: Iterable[int] | None = None,
                 accept: Callable[[int], bool] | None = None, rng: random.Random | None = None) -> PortReservation:
    """Reserves a source port on an address of this host (shared mode).

    `port`    exactly this one; otherwise one of `ports` (default: the kernel's range for source ports without the
              administrator's reserved ones), in random order
    `accept`  says whether a port will do (it lands on the wanted receive queue, …)
    Raises `UsageError` for a port outside 1 … 65535, `SetupError` when the port is taken, none is left, or the address
    is not the host's.
    """
    if port is not None:
        if not 0 < port < 65536:
            raise UsageError(f"source port {port} is not within 1 … 65535")
        order: Iterator[int] = iter([port])
    else:
        order = candidates(local_ports() if ports is None else ports,
                           reserved_ports() if ports is None else frozenset(), accept,
                           rng or random.SystemRandom())
    step = f"reserve a source port on {address}"
    tried = 0
    for candidate in order:
        tried += 1
        try:
            return PortReservation(address, _bind(address, candidate))
        except OSError as e:
            if e.errno == errno.EADDRINUSE:
                continue
            hint = "ip -br address" if e.errno == errno.EADDRNOTAVAIL else ""
            raise SetupError.from_errno(step, e.errno or errno.EIO, hint) from e
    if port is not None:
        raise SetupError(step, f"port {port} is taken", f"ss -tan 'sport = :{port}'", errno.EADDRINUSE)
    cause = f"all {tried} ports are taken" if tried else "no port is acceptable"
    raise SetupError(step, cause, "ss -s", errno.EADDRINUSE)


class DedicatedPorts:
    """Source ports of an address that is the stack's own (dedicated mode): no socket, only a count of what is used."""

    def __init__(self, ports: Iterable[int] = DYNAMIC_PORTS, rng: random.Random | None = None) -> None:
        self._ports = tuple(ports)
        self._used: set[int] = set()
        self._rng = rng or random.SystemRandom()

    def take(self, accept: Callable[[int], bool] | None = None) -> int:
        """A port that is not in use. `SetupError` when none is left."""
        for port in candidates(self._ports, frozenset(self._used), accept, self._rng):
            self._used.add(port)
            return port
        raise SetupError("choose a source port", "no acceptable port is free", errno=errno.EADDRINUSE)

    def give_back(self, port: int) -> None:
        """The port may be used again."""
        self._used.discard(port)
