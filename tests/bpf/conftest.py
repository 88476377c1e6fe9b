"""What the steering tests need: root, BPF_PROG_TEST_RUN, AF_XDP. Otherwise they skip and say why."""
from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import packets as p
from harness import Bench, xsk

from xdpws.control.loader import make_loader
from xdpws.errors import SetupError


def load(name: str) -> Bench:
    """A program without an interface; skips what this host cannot do."""
    if os.geteuid() != 0:
        pytest.skip("loading BPF needs root")
    try:
        return Bench(make_loader(name).load(0, False))
    except SetupError as error:
        if name == "bcc" and ("No module named 'bcc'" in error.cause or "no kernel headers" in error.cause):
            pytest.skip(f"BCC is not usable: {error}")
        raise


@pytest.fixture(scope="session")
def libbpf_bench() -> Iterator[Bench]:
    """The program as libbpf loads it."""
    with load("libbpf") as bench:
        yield bench


@pytest.fixture(scope="session")
def bcc_bench() -> Iterator[Bench]:
    """The program as BCC loads it."""
    with load("bcc") as bench:
        yield bench


@pytest.fixture(scope="session", params=["libbpf", "bcc"])
def any_bench(request: pytest.FixtureRequest) -> Bench:
    """Each of the two."""
    bench: Bench = request.getfixturevalue(f"{request.param}_bench")
    return bench


@pytest.fixture
def bench(any_bench: Bench) -> Iterator[Bench]:
    """Each of the two with one active flow, one inactive (our port + 1), and a socket on queue 0; shared mode."""
    with xsk() as sock:
        prepare(any_bench, sock.fileno())
        yield any_bench
        any_bench.reset()


@pytest.fixture
def one_bench(libbpf_bench: Bench) -> Iterator[Bench]:
    """As `bench`, but only libbpf's: for what takes long; that both decide alike is tested elsewhere."""
    with xsk() as sock:
        prepare(libbpf_bench, sock.fileno())
        yield libbpf_bench
        libbpf_bench.reset()


def prepare(bench: Bench, xsk_fd: int) -> None:
    """The flows and the socket of the fixture `bench`."""
    bench.add_flow(p.EXCHANGE, p.EXCHANGE_PORT, p.US, p.OUR_PORT)
    bench.add_flow(p.EXCHANGE, p.EXCHANGE_PORT, p.US, p.OUR_PORT + 1, active=False)
    bench.bind_socket(0, xsk_fd)
