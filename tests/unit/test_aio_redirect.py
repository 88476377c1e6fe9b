"""Redirects: which are followed, what goes along, and what is refused. The rules are those of `websockets`."""
from __future__ import annotations

from typing import Any

import pytest
from aiolib import dial, run

import xdpws
from xdpws.aio.redirect import redirect_target, without_secrets
from xdpws.errors import InvalidStatus, SecurityError, UsageError
from xdpws.http import Headers, Request, Response
from xdpws.uri import parse_uri


def answer(status: int, location: str | None) -> InvalidStatus:
    return InvalidStatus(Response(status, "", Headers({"Location": location} if location else {})))


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(("location", "target"), [
    ("/other?x=1", "wss://a.test:1/other?x=1"), ("wss://b.test/", "wss://b.test/"), ("//c.test/x", "wss://c.test/x"),
    ("y", "wss://a.test:1/z/y"),
])
def test_followed(status: int, location: str, target: str) -> None:
    found = redirect_target(parse_uri("wss://a.test:1/z/x"), answer(status, location), False)
    assert found is not None
    assert found.url == target


@pytest.mark.parametrize(("status", "location"), [(302, None), (200, "/x"), (304, "/x"), (403, "/x")])
def test_no_redirect(status: int, location: str | None) -> None:
    assert redirect_target(parse_uri("ws://a/"), answer(status, location), False) is None


def test_refused() -> None:
    with pytest.raises(SecurityError, match="non-secure"):
        redirect_target(parse_uri("wss://a/"), answer(302, "ws://a/"), False)
    with pytest.raises(UsageError, match="cross-origin"):
        redirect_target(parse_uri("wss://a/"), answer(302, "wss://b/"), True)
    assert redirect_target(parse_uri("wss://a/"), answer(302, "/b"), True) is not None
    assert redirect_target(parse_uri("wss://a/"), answer(302, "https://status.a/"), False) is None
    assert redirect_target(parse_uri("ws://a/"), answer(302, "wss://a/"), False) is not None


def test_secrets_stay() -> None:
    fields = [("Authorization", "x"), ("COOKIE", "x"), ("proxy-authorization", "x"), ("X-Key", "k")]
    assert without_secrets(fields) == [("X-Key", "k")]


def test_over_the_wire() -> None:
    seen: list[tuple[str, str | None]] = []
    ports: list[int] = []

    def turn(ws: xdpws.ServerConnection, request: Request) -> Response | None:
        seen.append((request.path, request.headers.get("Authorization")))
        if request.path == "/end":
            return None
        response = ws.respond(302, "elsewhere\n")
        response.headers["Location"] = {"/loop": "/loop", "/here": "/end", "/there": f"ws://127.0.0.1:{ports[1]}/end"
                                        }[request.path]
        return response

    async def hello(ws: xdpws.ServerConnection) -> None:
        await ws.send("hello")

    async def main() -> None:
        options: dict[str, Any] = {"process_request": turn}
        async with (xdpws.serve(hello, "127.0.0.1", 0, **options) as one,
                    xdpws.serve(hello, "127.0.0.1", 0, **options) as two):
            ports.extend(each.sockets[0].getsockname()[1] for each in (one, two))
            url = f"ws://me:secret@127.0.0.1:{ports[0]}"
            async with dial(url + "/here", additional_headers={"Authorization": "mine"}) as ws:
                assert await ws.recv() == "hello"
                assert ws.uri.resource == "/end"
            assert seen == [("/here", "mine"), ("/end", "mine")]
            seen.clear()
            async with dial(url + "/there") as ws:
                assert await ws.recv() == "hello"
                assert ws.remote_address == ("127.0.0.1", ports[1])
            assert [authorization is None for _, authorization in seen] == [False, True]
            with pytest.raises(SecurityError, match="more than 10 redirects"):
                await dial(url + "/loop")
            with pytest.raises(UsageError, match="explicit host"):
                await dial(f"ws://venue.test:{ports[0]}/there", host="127.0.0.1")

    run(main())
