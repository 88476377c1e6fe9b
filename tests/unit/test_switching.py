"""Users of `websockets` switch: our names, defaults and exceptions beside theirs, each difference in a list."""
from __future__ import annotations

import inspect
from typing import Any

import pytest
import websockets
import websockets.asyncio.client as their_client
import websockets.asyncio.server as their_server
import websockets.exceptions as their_errors
import websockets.sync.client as their_sync

import xdpws
import xdpws.errors
import xdpws.sync

# What they have and we do not, with the reason.
MISSING = {
    "connect": {
        "extensions": "permessage-deflate is the only one, by compression=",
        "write_limit": "the engine's send ring is the limit",
        "create_connection": "connections are made by the engine",
        "kwargs": "create_connection's are named one by one: host, port, sock, ssl, server_hostname, local_addr",
    },
    "serve": {
        "extensions": "as above", "write_limit": "as above", "create_connection": "as above",
        "kwargs": "create_server's are named one by one: ssl, sock, backlog, reuse_port, start_serving",
    },
    "sync.connect": {
        "extensions": "as above", "create_connection": "as above", "legacy": "of their own history",
        "kwargs": "as above",
    },
    "Connection": {
        # asyncio.Protocol and their insides, not meant for users
        "acknowledge_pings", "close_exc", "connection_lost", "connection_made", "data_received", "drain",
        "eof_received",
        "handshake", "keepalive", "pause_writing", "process_event", "resume_writing", "send_context", "send_data",
        "set_connection_exc", "start_keepalive", "terminate_pending_pings", "recv_events", "recv_bufsize",
        "close_socket", "maybe_raise_legacy_warning",
    },
    "exceptions": {
        # an answer or a request that is not acceptable is InvalidMessage with the reason as text
        "InvalidHeader", "InvalidHeaderFormat", "InvalidHeaderValue", "InvalidUpgrade", "InvalidMethod",
        "InvalidProtocol", "RequestLineTooLong", "StatusLineTooLong", "HeaderLineTooLong", "TooManyHeaders",
        "DuplicateParameter", "InvalidParameterName", "InvalidParameterValue",
        # told as HTTP status by our server
        "InvalidOrigin",
        # of their sans-I/O layer; their server's fragment limit
        "InvalidState", "TooManyFragments",
    },
}
# What has another default, with the reason.
DEFAULTS = {
    "compression": "off for a client: it costs latency; websockets: 'deflate'",
    "user_agent_header": "our name", "server_header": "our name", "process_exception": "our rule, see its docstring",
    "reconnect_delays": "None: backoff= counts",
}


def parameters(thing: Any) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(thing).parameters)
    found.pop("self", None)
    return found


@pytest.mark.parametrize(("name", "ours", "theirs"), [
    ("connect", xdpws.connect, their_client.connect), ("serve", xdpws.serve, their_server.serve),
    ("sync.connect", xdpws.sync.connect, their_sync.connect),
])
def test_parameters_and_their_defaults(name: str, ours: Any, theirs: Any) -> None:
    mine, other = parameters(ours), parameters(theirs.__init__ if inspect.isclass(theirs) else theirs)
    assert set(other) - set(mine) == set(MISSING[name])
    for each, parameter in other.items():
        if each in mine and not (each == "compression" and name == "serve") and each not in DEFAULTS:
            assert mine[each].default == parameter.default, each
        if each in mine:
            assert mine[each].kind == parameter.kind, each
    assert mine["compression"].default == ("deflate" if name == "serve" else None)


@pytest.mark.parametrize(("ours", "theirs"), [
    (xdpws.ClientConnection, their_client.ClientConnection), (xdpws.ServerConnection, their_server.ServerConnection),
    (xdpws.Server, their_server.Server), (xdpws.sync.ClientConnection, their_sync.ClientConnection),
])
def test_methods_and_their_parameters(ours: Any, theirs: Any) -> None:
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert {name for name in public if not hasattr(ours, name)} - set(MISSING["Connection"]) <= {"state"}
    special = {"__aiter__", "__aenter__", "__aexit__", "__iter__", "__enter__", "__exit__"}
    for name in (public & set(dir(ours))) | special:
        mine, other = getattr(ours, name, None), getattr(theirs, name, None)
        if not inspect.isfunction(other):
            continue
        assert mine is not None, name
        wanted = [(each.name, each.kind, each.default) for each in parameters(other).values() if each.name not in
                  ("exc_value", "traceback", "ack_on_close")]
        got = [(each.name, each.kind, each.default) for each in parameters(mine).values() if each.name not in
               ("exc_value", "traceback")]
        assert got[:len(wanted)] == wanted, name
        assert all(default is not inspect.Parameter.empty for _, _, default in got[len(wanted):]), name


def test_attributes_that_are_set_in_init() -> None:
    for name in ("id", "logger", "request", "response", "latency", "state"):
        assert name in inspect.getsource(xdpws.Connection.__init__)


def test_exceptions_and_their_bases() -> None:
    public = set(their_errors.__all__)
    assert public - set(xdpws.errors.__all__) == MISSING["exceptions"]
    for name in public & set(xdpws.errors.__all__):
        mine, other = getattr(xdpws.errors, name), getattr(their_errors, name)
        wanted = {each.__name__ for each in other.__mro__ if each.__name__ in public}
        assert wanted <= {each.__name__ for each in mine.__mro__}, name
        assert issubclass(mine, Exception)
        if issubclass(other, OSError | RuntimeError | TimeoutError):
            assert issubclass(mine, OSError | RuntimeError | TimeoutError)


def test_states_are_equal() -> None:
    assert {each.name: each.value for each in xdpws.State} == {each.name: each.value for each in websockets.State}


def test_every_public_name_is_there_and_documented() -> None:
    for name in xdpws.__all__:
        value = getattr(xdpws, name)
        assert value.__doc__, name
        assert name in dir(xdpws)
    with pytest.raises(AttributeError):
        _ = xdpws.no_such_name


@pytest.mark.parametrize("owner", [xdpws.ClientConnection, xdpws.ServerConnection, xdpws.Server,
                                   xdpws.sync.ClientConnection, xdpws.Headers, xdpws.Client, xdpws.Session])
def test_every_public_method_is_documented(owner: type) -> None:
    for name, member in inspect.getmembers(owner):
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
            handler = name.startswith("on_")
            assert handler or inspect.getdoc(member), f"{owner.__name__}.{name}"
