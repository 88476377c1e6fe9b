"""Two engines in one process do not notice each other, in threads and in one asyncio loop; what belongs to whom."""
from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attach import attach
from hosttools import KernelPeer, echo, xdp_program
from peers.process import PeerProcess, sim_process
from topology import Topology, needs_topology

import xdpws
from xdpws.aio import driver
from xdpws.client import Client
from xdpws.config import EngineConfig, TlsOptions, XdpOptions
from xdpws.digest import FeedDigest
from xdpws.errors import SetupError, UsageError
from xdpws.stack import Stream
from xdpws.stack.engine import Engine
from xdpws.stack.runtime import Runtime

pytestmark = needs_topology


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


@pytest.fixture
def sims(topo: Topology) -> Iterator[list[PeerProcess]]:
    """Three exchanges with different feeds; every client gets the whole of it."""
    def sim(seed: str) -> PeerProcess:
        return sim_process("synthetic", "--count", "4000", "--rate", "4000", "--seed", seed, "--listen",
                           f"{topo.srv_ip}:0", netns=topo.srv_ns)
    with sim("1") as first, sim("2") as second, sim("3") as third:
        yield [first, second, third]


def complete(digest: FeedDigest, sim: PeerProcess) -> bool:
    return (digest.messages, digest.hexdigest()) == (sim.ready["messages"], sim.ready["rx_sha256"])


class Receiving(threading.Thread):
    """A client in a thread and a namespace of its own making; `middle` is set once it has 1,000 messages."""

    def __init__(self, topo: Topology, sim: PeerProcess, transport: str) -> None:
        super().__init__()
        self.topo, self.sim, self.transport = topo, sim, transport
        self.digest, self.middle = FeedDigest(), threading.Event()
        self.overlap = False
        self.other: Receiving | None = None
        self.error: BaseException | None = None
        self.client: Client | None = None

    def _on_message(self, msg: Any) -> None:
        self.digest.update(msg.data)
        if self.digest.messages == 1000:
            self.middle.set()
            assert self.other is not None
            self.overlap = self.other.middle.wait(30)  # both are in the middle of their feeds at one moment

    def run(self) -> None:
        try:
            with self.topo.entered("cli"):
                xdp = self.topo.cli_if if self.transport == "xdp" else None
                with Client(self.sim.url, self._on_message, transport=self.transport,  # type: ignore[arg-type]
                            interface=xdp, busy_poll=False, tls=TlsOptions(ca_file=str(self.sim.ca))) as self.client:
                    self.client.run(60)
                    connection = self.client.sessions[0].connection
                    assert connection is not None
                    assert connection.transport == self.transport
        except BaseException as error:
            self.error = error


def test_both_transports_in_two_threads(topo: Topology, sims: list[PeerProcess]) -> None:
    xdp, socket = Receiving(topo, sims[0], "xdp"), Receiving(topo, sims[1], "socket")
    xdp.other, socket.other = socket, xdp
    for thread in (xdp, socket):
        thread.start()
    for thread in (xdp, socket):
        thread.join(60)
        assert thread.error is None
        assert complete(thread.digest, thread.sim)
        assert thread.overlap, "they ran one after the other"
    assert not xdp_program(topo)


async def receive(topo: Topology, sim: PeerProcess, transport: Any, seen: list[Any]) -> FeedDigest:
    digest = FeedDigest()
    interface = topo.cli_if if transport == "xdp" else None
    async with xdpws.connect(sim.url, transport=transport, interface=interface,
                             tls=TlsOptions(ca_file=str(sim.ca))) as ws:
        assert ws.transport == transport
        async for message in ws:
            digest.update(message.encode() if isinstance(message, str) else message)
            if digest.messages == 1000:
                seen.append(list(driver._drivers[asyncio.get_running_loop()].values()))
        assert ws.close_code == 1000
    return digest


@pytest.mark.parametrize("transports", [("xdp", "socket"), ("xdp", "xdp", "socket")])
def test_several_connections_in_one_asyncio_loop(topo: Topology, sims: list[PeerProcess],
                                                 transports: tuple[str, ...]) -> None:
    seen: list[Any] = []
    programs: list[int] = []

    async def main() -> list[FeedDigest]:
        tasks = [receive(topo, sim, transport, seen) for sim, transport in zip(sims, transports, strict=False)]

        async def look() -> None:
            while len(seen) < len(transports):
                await asyncio.sleep(0.01)
                programs.append(await asyncio.to_thread(xdp_program, topo))

        watcher = asyncio.create_task(look())
        digests = await asyncio.gather(*tasks)
        await watcher
        return digests

    with topo.entered("cli"):
        digests = asyncio.run(main())
    for digest, sim in zip(digests, sims, strict=False):
        assert complete(digest, sim)
    assert len({id(d) for found in seen for d in found}) == 2, "one engine for each transport"
    assert len(set(programs) - {0}) == 1, "one program, attached once"
    assert not xdp_program(topo)


def test_several_urls_with_one_attach(topo: Topology, sims: list[PeerProcess]) -> None:
    # All are of one certificate authority, or --ca could not name it: the simulator makes one each.
    report = attach(topo, topo.cli_if, *(sim.url for sim in sims), "--insecure", "--transport", "xdp")
    assert [c["url"] for c in report["connections"]] == [sim.url for sim in sims]
    for each, sim in zip(report["connections"], sims, strict=True):
        assert (each["messages"], each["rx_sha256"]) == (sim.ready["messages"], sim.ready["rx_sha256"])
        assert (each["transport"], each["close_code"], each["error"]) == ("xdp", 1000, None)
    assert report["messages"] == sum(sim.ready["messages"] for sim in sims)
    json.dumps(report)


def test_one_of_several_urls_fails_and_the_others_go_on(topo: Topology, sims: list[PeerProcess]) -> None:
    nobody = f"wss://{topo.srv_ip}:1"
    got = FeedDigest()
    with topo.entered("cli"), Client([sims[0].url, nobody], lambda msg: got.update(msg.data), transport="xdp",
                                     interface=topo.cli_if, busy_poll=False,
                                     tls=TlsOptions(ca_file=str(sims[0].ca))) as client:
        client.run(60)
        assert client.sessions[0].error is None
        assert "refused" in str(client.sessions[1].error)
    assert complete(got, sims[0])


def test_a_second_engine_on_the_same_interface_is_told(topo: Topology) -> None:
    """An interface takes one program: the second runtime gets a clear error, the first goes on."""
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer, topo.entered("cli"):
        first = Stream.connect(topo.srv_ip, peer.port, transport="xdp", interface=topo.cli_if)
        with first:
            with pytest.raises(SetupError, match=f"attach to {topo.cli_if}: .*XDP program") as told:
                Stream.connect(topo.srv_ip, peer.port, transport="xdp", interface=topo.cli_if)
            assert "this process" in str(told.value)
            auto = Stream.connect(topo.srv_ip, peer.port, transport="auto", interface=topo.cli_if)
            with auto:
                assert auto.transport == "socket"
                assert "XDP program" in auto.transport_reason
                for stream in (first, auto, first):
                    stream.send_all(b"here")
                    assert stream.recv(timeout=5) == b"here"


# ---- threads ------------------------------------------------------------------------------------------------------


def elsewhere(call: Callable[[], Any]) -> BaseException | None:
    """What `call` raises in another thread."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    return raised[0] if raised else None


@pytest.mark.parametrize("transport", ["xdp", "socket"])
def test_calls_from_another_thread_are_errors(topo: Topology, transport: Any) -> None:
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer, topo.entered("cli"):
        stream = Stream.connect(topo.srv_ip, peer.port, transport=transport,
                                interface=topo.cli_if if transport == "xdp" else None)
        with stream:
            calls: list[Callable[[], Any]] = [lambda: stream.send(b"no"), lambda: stream.recv(timeout=1),
                                              stream.shutdown_write, stream.close]
            for call in calls:
                error = elsewhere(call)
                assert isinstance(error, UsageError), error
                assert "thread" in str(error)
            stream.send_all(b"yes")
            assert stream.recv(timeout=5) == b"yes", "nothing was changed"


def test_an_engine_is_handed_over_when_its_thread_has_ended() -> None:
    made: list[Engine] = []
    assert elsewhere(lambda: made.append(Engine(EngineConfig(max_conns=1)))) is None
    engine = made[0]
    with pytest.raises(UsageError, match="thread"):
        engine.poll(0)
    engine.adopt()
    assert engine.poll(0) == 0
    assert isinstance(elsewhere(engine.adopt), UsageError), "the owner is alive"
    engine.close()


def test_a_client_is_closed_by_another_thread_when_its_own_has_ended(topo: Topology, sims: list[PeerProcess]) -> None:
    started, count = threading.Event(), [0]

    def on_message(msg: Any) -> None:
        count[0] += 1
        started.set()

    with topo.entered("cli"):
        client = Client(sims[0].url, on_message, transport="xdp", interface=topo.cli_if, busy_poll=False,
                        tls=TlsOptions(ca_file=str(sims[0].ca)))
        thread = threading.Thread(target=client.run)
        thread.start()
        assert started.wait(20)
        with pytest.raises(UsageError, match="thread"):
            client.close()
        client.stop()
        thread.join(20)
        assert not thread.is_alive()
        client.close()
    assert client.sessions[0].closed is not None
    assert client.sessions[0].closed.code == 1000
    assert count[0] < 4000
    assert not xdp_program(topo)


def test_a_runtime_that_is_closed_leaves_the_other_alone(topo: Topology) -> None:
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer, topo.entered("cli"):
        with Runtime(None, XdpOptions(topo.cli_if)) as first, Runtime() as second:
            one = Stream.connect(topo.srv_ip, peer.port, transport="xdp", runtime=first)
            two = Stream.connect(topo.srv_ip, peer.port, transport="socket", runtime=second)
            first.close()
            assert not xdp_program(topo)
            two.send_all(b"alone")
            assert two.recv(timeout=5) == b"alone"
            with pytest.raises(UsageError):
                one.send(b"gone")
