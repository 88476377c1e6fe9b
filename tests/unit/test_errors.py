"""xdpws.errors: who erred, what the text says, and that names and bases are those that users know."""
from __future__ import annotations

import errno
import pickle

import pytest
import websockets.exceptions as theirs
from websockets.frames import Close as TheirClose

from xdpws import errors as ours
from xdpws._enums import Err
from xdpws.errors import Close, SetupError
from xdpws.http import Response
from xdpws.stack.closing import open_error
from xdpws.stack.connection import Closed

NAMES = ("ConcurrencyError", "ConnectionClosed", "ConnectionClosedError", "ConnectionClosedOK", "InvalidHandshake",
         "InvalidMessage", "InvalidStatus", "InvalidURI", "WebSocketException")


@pytest.mark.parametrize("name", NAMES)
def test_names_and_bases_as_in_websockets(name: str) -> None:
    mine, their = getattr(ours, name), getattr(theirs, name)
    known = {each.__name__ for each in mine.__mro__}
    wanted = {each.__name__ for each in their.__mro__ if each.__name__ in NAMES}
    assert wanted <= known
    assert issubclass(mine, ours.XdpwsError)


def test_bases_from_the_standard_library() -> None:
    assert issubclass(ours.UsageError, ValueError)
    assert issubclass(ours.ConnectError, OSError)
    assert issubclass(ours.OpenTimeout, TimeoutError)
    assert issubclass(ours.ConcurrencyError, RuntimeError)
    assert issubclass(ours.InvalidURI, ours.UsageError)


def test_setup_error() -> None:
    error = SetupError("attach to eth9", "no such interface", "ip link", errno.ENODEV)
    assert str(error) == "attach to eth9: no such interface; try: ip link"
    assert str(SetupError("step", "cause")) == "step: cause"
    made = SetupError.from_errno("open the map", errno.EPERM)
    assert (made.cause, made.errno, made.hint) == ("Operation not permitted", errno.EPERM, "")


@pytest.mark.parametrize("rcvd", [None, (1000, ""), (1008, "policy"), (4000, "x")])
@pytest.mark.parametrize("sent", [None, (1000, "bye"), (1011, "")])
@pytest.mark.parametrize("then", [True, False])
def test_connection_closed_reads_as_with_websockets(rcvd: tuple[int, str] | None, sent: tuple[int, str] | None,
                                                    then: bool) -> None:
    order = then if rcvd and sent else None
    mine = ours.ConnectionClosedError(Close(*rcvd) if rcvd else None, Close(*sent) if sent else None, order)
    their = theirs.ConnectionClosedError(TheirClose(*rcvd) if rcvd else None, TheirClose(*sent) if sent else None,
                                         order)
    assert str(mine) == str(their)
    assert mine.code == (rcvd[0] if rcvd else 1006)
    assert mine.reason == (rcvd[1] if rcvd else "")


def test_closed_text_is_told_when_there_was_no_close_frame() -> None:
    assert str(ours.ConnectionClosedError(None, None, None, "TCP: reset")) == (
        "no close frame received or sent (TCP: reset)")
    assert "TCP" not in str(ours.ConnectionClosedError(Close(1000), None, None, "TCP: reset"))


@pytest.mark.parametrize("error", [
    SetupError("a", "b", "c", 1), ours.InvalidURI("x", "why"), ours.InvalidStatus(Response(403, "No")),
    ours.ConnectionClosedOK(Close(1000, "x"), None, None, "text"), ours.TlsError("t"), ours.ConnectError("c"),
])
def test_they_survive_a_process_boundary(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


@pytest.mark.parametrize(("layer", "error", "kind"), [
    ("tcp", Err.EREFUSED, ours.ConnectError), ("net", Err.EUNREACH, ours.ConnectError),
    ("tcp", Err.ETIMEDOUT, ours.OpenTimeout), ("tls", Err.ETIMEDOUT, ours.OpenTimeout),
    ("tls", Err.ETLS, ours.TlsError),
    ("http", Err.EPROTO, ours.InvalidMessage), ("websocket", Err.EPROTO, ours.InvalidMessage),
    ("tcp", Err.EBUG, ours.InternalError), ("", Err.ENOMEM, SetupError),
])
def test_open_error(layer: str, error: Err, kind: type[Exception]) -> None:
    made = open_error(Closed(layer, error, 1006, 0, False, "the text"), None, "wss://x/")
    assert type(made) is kind
    assert "wss://x/" in str(made)
    assert "the text" in str(made)


def test_open_error_with_an_answer() -> None:
    made = open_error(Closed("http", Err.EPROTO, 1006, 0, True, "x"), Response(403, "Forbidden"), "wss://x/")
    assert isinstance(made, ours.InvalidStatus)
    assert str(made) == "server rejected WebSocket connection: HTTP 403 Forbidden"
