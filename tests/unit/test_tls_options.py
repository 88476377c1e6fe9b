"""An ssl.SSLContext given as `ssl`: what of it is taken over, what is refused, and that it works on the wire."""
from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from aiolib import dial, echo, run, server

import xdpws
from xdpws.config import TlsOptions
from xdpws.errors import TlsError, UsageError
from xdpws.sim.cert import make_certificate
from xdpws.tls_options import tls_options


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_certificate(tmp_path_factory.mktemp("cert"), ("127.0.0.1", "localhost"))


def context(verify: bool = True, **attributes: Any) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = verify
    made.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def test_simple_forms() -> None:
    given = TlsOptions(minimum="1.3")
    assert tls_options(given) is given
    assert tls_options(None) == tls_options(True) == tls_options(context()) == TlsOptions()
    assert tls_options(ssl.create_default_context()).verify
    assert not tls_options(context(verify=False)).verify


@pytest.mark.parametrize(("low", "high", "wanted"), [
    ("TLSv1_2", "TLSv1_2", ("1.2", "1.2")), ("TLSv1_3", "TLSv1_3", ("1.3", "1.3")),
    ("MINIMUM_SUPPORTED", "MAXIMUM_SUPPORTED", ("1.2", "1.3")), ("TLSv1_2", "MAXIMUM_SUPPORTED", ("1.2", "1.3")),
])
def test_versions(low: str, high: str, wanted: tuple[str, str]) -> None:
    made = tls_options(context(minimum_version=ssl.TLSVersion[low], maximum_version=ssl.TLSVersion[high]))
    assert (made.minimum, made.maximum) == wanted


def test_ciphers_only_when_they_were_chosen() -> None:
    made = context()
    made.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert tls_options(made).ciphers == "ECDHE-RSA-AES128-GCM-SHA256"
    assert tls_options(context()).ciphers is None


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(UsageError, match="not the name"):
        tls_options(context(check_hostname=False))
    with pytest.raises(UsageError, match="revocation"):
        tls_options(context(verify_flags=ssl.VERIFY_CRL_CHECK_LEAF))
    with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises(UsageError, match=r"only 1\.2 and 1\.3"):
        tls_options(context(maximum_version=ssl.TLSVersion.TLSv1_1))
    with pytest.raises(UsageError, match="must be TlsOptions"):
        tls_options("yes")  # type: ignore[arg-type]
    for wrong in ({"uri": "ws://x/", "ssl": True}, {"uri": "wss://x/", "ssl": False},
                  {"uri": "wss://x/", "ssl": True, "tls": TlsOptions()}):
        with pytest.raises(UsageError):
            xdpws.connect(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not both"):
        TlsOptions(ca_file="a", ca_data="b")


def test_on_the_wire(files: Any, tmp_path: Path) -> None:
    async def main() -> None:
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(files.cert, files.key)
        log = tmp_path / "keys"
        async with server(echo, ssl=serving) as url:
            trusting = ssl.create_default_context(cafile=str(files.ca))
            trusting.keylog_filename = str(log)
            for each in (trusting, context(verify=False), TlsOptions(ca_data=Path(files.ca).read_text())):
                async with dial(url, ssl=each) as ws:
                    await ws.send("verified")
                    assert await ws.recv() == "verified"
            with pytest.raises(TlsError, match="certificate"):
                await dial(url, ssl=ssl.create_default_context())
        assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()

    run(main())
