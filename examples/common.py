"""What all examples share: the command line, and the count that they print at the end. Nothing about any venue."""
from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any

import xdpws


@dataclass
class Run:
    """Settings of one run and what it has seen.

    url: where to connect to. connect: keyword arguments for `xdpws.connect`. checked: what the venue's numbers or
    checksums have proved. gaps: where they have shown that something is missing. resumed: pauses between two
    connections that the numbers tell.
    """

    name: str
    url: str
    most: int
    rest: str
    connect: dict[str, Any]
    messages: int = 0
    checked: int = 0
    gaps: int = 0
    connections: int = 0
    transport: str = ""
    notices: list[str] = field(default_factory=list)

    def opened(self, ws: xdpws.ClientConnection) -> None:
        """A connection begins."""
        self.connections += 1
        self.transport = ws.transport

    def check(self, good: bool) -> bool:
        """Count one proof, or one gap; returns `good`."""
        self.checked += good
        self.gaps += not good
        return good

    def notice(self, text: object) -> None:
        """The venue said something that is no data: an error, a restart."""
        self.notices.append(str(text))
        print(f"{self.name} says {text}", flush=True)

    @property
    def done(self) -> bool:
        """Whether all messages that were asked for have come."""
        return 0 < self.most <= self.messages

    def finish(self) -> None:
        """The final line; exit code 1 when something is missing."""
        print(f"{self.name}: {self.messages} messages, {self.checked} proved, {self.gaps} gaps, "
              f"{self.connections} connections, {self.transport}", flush=True)
        raise SystemExit(1 if self.gaps else 0)


def begin(name: str, url: str, rest: str = "") -> Run:
    """A run from the command line. `url` and `rest` are the venue's own addresses."""
    parser = argparse.ArgumentParser(description=f"Receive from {name} and prove that nothing is missing.")
    parser.add_argument("--url", default=url, help=f"instead of {url}")
    parser.add_argument("--rest", default=rest, help=argparse.SUPPRESS if not rest else f"instead of {rest}")
    parser.add_argument("--ca", help="PEM file of the CA to trust instead of the system's")
    parser.add_argument("--transport", choices=("auto", "xdp", "socket"), default="auto")
    parser.add_argument("--interface", help="receive over AF_XDP on this interface")
    parser.add_argument("--messages", type=int, default=0, help="end after so many (0: never)")
    args = parser.parse_args()
    connect = {"transport": args.transport, "interface": args.interface, "max_size": 1 << 24,
               "tls": xdpws.TlsOptions(ca_file=args.ca), "backoff": xdpws.Backoff(first_s=0.1)}
    return Run(name, args.url, args.messages, args.rest, connect)
