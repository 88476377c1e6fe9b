"""TLS settings through the package: who is believed, what is refused and with which text. Servers by Python's ssl."""
from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from aiolib import dial, echo, raw_server, run, server
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import xdpws
from xdpws.errors import ConnectionClosedError, SetupError, TlsError

PEM = serialization.Encoding.PEM
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA with its file; `issue` makes a certificate and key in one PEM file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(self._name, self._key.public_key(), (-2, 30)).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(self._key, hashes.SHA256())
        self.file = str(folder / f"{name}.pem")
        Path(self.file).write_bytes(made.public_bytes(PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: tuple[int, int]
                 ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
                .serial_number(x509.random_serial_number()).not_valid_before(now + days[0] * DAY)
                .not_valid_after(now + days[1] * DAY))

    def issue(self, *names: str, days: tuple[int, int] = (-2, 30), common: str = "no such name",
              client: bool = False) -> str:
        """Valid from days[0] to days[1] from now; `names`: DNS names and IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]), key.public_key(), days)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([general(name) for name in names]), False)
        file = self._folder / f"{common}-{x509.random_serial_number()}.pem"
        file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(PEM) + key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return str(file)


def general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "other")


def context(cert: str, **settings: Any) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(cert)
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def visit(served: ssl.SSLContext, tls: xdpws.TlsOptions, name: str | None = None) -> dict[str, int | str]:
    """One message to and fro by 127.0.0.1, or by `name`; what the connection says of itself."""
    async def main() -> dict[str, int | str]:
        async with server(echo, ssl=served) as url:
            options: dict[str, Any] = {"tls": tls}
            if name is not None:
                port = int(url.rsplit(":", 1)[1].strip("/"))
                url, options = f"wss://{name}:{port}/", {**options, "host": "127.0.0.1", "port": port}
            async with dial(url, **options) as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"
                return ws.info()

    return run(main())


def refused(served: ssl.SSLContext, tls: xdpws.TlsOptions, text: str, name: str | None = None) -> str:
    with pytest.raises(TlsError, match=text) as caught:
        visit(served, tls, name)
    return str(caught.value)


@contextlib.contextmanager
def strict_server(served: ssl.SSLContext) -> Iterator[int]:
    """Does the handshake with each client and reads on; a refusal ends with the alert and in order. Gives its port.

    (asyncio drops the alert of a handshake that failed.)
    """
    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client = served.wrap_socket(listener.accept()[0], server_side=True, do_handshake_on_connect=False)
                with client, contextlib.suppress(OSError):
                    client.settimeout(10)
                    with contextlib.suppress(ssl.SSLError):
                        client.do_handshake()
                        client.recv(4096)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(4096):
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def alerted(served: ssl.SSLContext, tls: xdpws.TlsOptions, text: str) -> None:
    """The server refuses, and its alert is what the user reads."""
    async def main(port: int) -> None:
        with pytest.raises(TlsError, match=text):
            await dial(f"wss://127.0.0.1:{port}/", tls=tls)

    with strict_server(served) as port:
        run(main(port))


def test_address_in_the_certificate(ca: Authority) -> None:
    assert visit(context(ca.issue("127.0.0.1")), xdpws.TlsOptions(ca_file=ca.file))["tls_version"] == 13


@pytest.mark.parametrize(("names", "name"), [
    (("feed.example",), "feed.example"), (("a.example", "feed.example"), "feed.example"),
    (("FEED.example",), "feed.EXAMPLE"), (("*.example.com",), "feed.example.com"),
    (("xn--bcher-kva.example",), "bücher.example"),
])
def test_dns_name_is_sent_and_verified(ca: Authority, names: tuple[str, ...], name: str) -> None:
    asked: list[str | None] = []
    served = context(ca.issue(*names), sni_callback=lambda sock, host, ctx: asked.append(host))
    visit(served, xdpws.TlsOptions(ca_file=ca.file), name)
    assert asked == [name.lower().encode("idna").decode()]


def test_server_hostname_in_place_of_the_urls(ca: Authority) -> None:
    asked: list[str | None] = []
    served = context(ca.issue("feed.example"), sni_callback=lambda sock, host, ctx: asked.append(host))

    async def main() -> None:
        async with server(echo, ssl=served) as url:
            async with dial(url, tls=xdpws.TlsOptions(ca_file=ca.file), server_hostname="feed.example"):
                pass

    run(main())
    assert asked == ["feed.example"]


def test_no_name_is_sent_for_an_address(ca: Authority) -> None:
    """RFC 6066 section 3: literal addresses are not permitted in SNI."""
    asked: list[str | None] = []
    served = context(ca.issue("127.0.0.1"), sni_callback=lambda sock, host, ctx: asked.append(host))
    visit(served, xdpws.TlsOptions(ca_file=ca.file))
    assert asked == [None]


@pytest.mark.parametrize(("names", "name"), [
    (("other.example",), "feed.example"), (("example.com",), "feed.example.com"),
    (("*.example.com",), "example.com"), (("*.example.com",), "a.feed.example.com"),
    (("*.com",), "feed.example.com"), (("f*.example.com",), "other.example.com"), (("127.0.0.1",), "feed.example"),
    ((), "feed.example"),
])
def test_wrong_name(ca: Authority, names: tuple[str, ...], name: str) -> None:
    text = refused(context(ca.issue(*names)), xdpws.TlsOptions(ca_file=ca.file), "(?i)hostname mismatch", name)
    assert name in text


def test_common_name_counts_only_without_alternative_names(ca: Authority) -> None:
    refused(context(ca.issue("other.example", common="feed.example")), xdpws.TlsOptions(ca_file=ca.file),
            "(?i)hostname mismatch", "feed.example")


@pytest.mark.parametrize("names", [("127.0.0.2",), ("feed.example",), ("127.0.0.1.example",)])
def test_wrong_address(ca: Authority, names: tuple[str, ...]) -> None:
    refused(context(ca.issue(*names)), xdpws.TlsOptions(ca_file=ca.file), "(?i)IP address mismatch")


def test_wrong_authority(ca: Authority, other: Authority) -> None:
    refused(context(other.issue("127.0.0.1")), xdpws.TlsOptions(ca_file=ca.file), "unable to get local issuer")
    refused(context(other.issue("127.0.0.1")), xdpws.TlsOptions(), "unable to get local issuer")


@pytest.mark.parametrize(("days", "text"), [((-9, -1), "has expired"), ((1, 9), "not yet valid")])
def test_dates(ca: Authority, days: tuple[int, int], text: str) -> None:
    served = context(ca.issue("127.0.0.1", days=days))
    refused(served, xdpws.TlsOptions(ca_file=ca.file), text)
    visit(served, xdpws.TlsOptions(verify=False))


def test_certificate_for_clients_only(ca: Authority) -> None:
    refused(context(ca.issue("127.0.0.1", client=True)), xdpws.TlsOptions(ca_file=ca.file), "(?i)purpose")


def test_without_verification_everything_is_taken(other: Authority) -> None:
    visit(context(other.issue("other.example", days=(-9, -1))), xdpws.TlsOptions(verify=False), "feed.example")


def pin_of(cert: str) -> bytes:
    key = x509.load_pem_x509_certificate(Path(cert).read_bytes()).public_key()
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER,
                                           serialization.PublicFormat.SubjectPublicKeyInfo)).digest()


def test_pins(ca: Authority) -> None:
    cert = ca.issue("127.0.0.1")
    pin, wrong = pin_of(cert), hashlib.sha256(b"another key").digest()
    served = context(cert)
    visit(served, xdpws.TlsOptions(ca_file=ca.file, pins=(pin,)))
    visit(served, xdpws.TlsOptions(ca_file=ca.file, pins=(wrong, pin.hex())))
    refused(served, xdpws.TlsOptions(ca_file=ca.file, pins=(wrong,)), "(?i)pin")
    refused(context(ca.issue("127.0.0.1")), xdpws.TlsOptions(ca_file=ca.file, pins=(pin,)), "(?i)pin")
    # a pin does not stand in for the name
    refused(served, xdpws.TlsOptions(ca_file=ca.file, pins=(pin,)), "(?i)hostname mismatch", "feed.example")
    # and it is checked also where chain and name are not
    visit(served, xdpws.TlsOptions(verify=False, pins=(pin,)))
    refused(served, xdpws.TlsOptions(verify=False, pins=(wrong,)), "(?i)pin")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_client_certificate(ca: Authority, other: Authority, version: Literal["1.2", "1.3"]) -> None:
    served = context(ca.issue("127.0.0.1"), verify_mode=ssl.CERT_REQUIRED)
    served.load_verify_locations(ca.file)
    both = {"ca_file": ca.file, "minimum": version, "maximum": version}
    mine = ca.issue(common="trader", client=True)
    visit(served, xdpws.TlsOptions(**both, cert_file=mine, key_file=mine))  # type: ignore[arg-type]
    visit(served, xdpws.TlsOptions(**both, cert_file=mine))  # type: ignore[arg-type]
    alerted(served, xdpws.TlsOptions(**both),  # type: ignore[arg-type]
            "certificate required" if version == "1.3" else "handshake failure")
    alerted(served, xdpws.TlsOptions(**both, cert_file=other.issue(client=True)),  # type: ignore[arg-type]
            "unknown CA")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_keylog_holds_the_servers_secrets(ca: Authority, tmp_path: Path, version: Literal["1.2", "1.3"]) -> None:
    """Line for line what the server's own key log says: a capture of the connection can be decrypted with it."""
    theirs, ours = tmp_path / "server.log", tmp_path / "client.log"
    served = context(ca.issue("127.0.0.1"), keylog_filename=str(theirs))
    for _ in range(2):  # appended, not written anew
        visit(served, xdpws.TlsOptions(ca_file=ca.file, minimum=version, maximum=version, keylog_file=str(ours)))
    lines = {line for line in ours.read_text().splitlines() if not line.startswith("#")}
    assert lines == {line for line in theirs.read_text().splitlines() if not line.startswith("#")}
    labels = {line.split()[0] for line in lines}
    assert labels == ({"CLIENT_RANDOM"} if version == "1.2" else {
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET"})
    assert len({line.split()[1] for line in lines}) == 2  # client randoms
    assert ours.stat().st_mode & 0o077 == 0


def test_versions(ca: Authority) -> None:
    cert = ca.issue("127.0.0.1")
    only12 = context(cert, maximum_version=ssl.TLSVersion.TLSv1_2)
    only13 = context(cert, minimum_version=ssl.TLSVersion.TLSv1_3)
    assert visit(only12, xdpws.TlsOptions(ca_file=ca.file))["tls_version"] == 12
    assert visit(only13, xdpws.TlsOptions(ca_file=ca.file))["tls_version"] == 13
    both = context(cert)
    assert visit(both, xdpws.TlsOptions(ca_file=ca.file, maximum="1.2"))["tls_version"] == 12
    alerted(only12, xdpws.TlsOptions(ca_file=ca.file, minimum="1.3"), "protocol version")
    alerted(only13, xdpws.TlsOptions(ca_file=ca.file, maximum="1.2"), "protocol version")


@pytest.mark.parametrize(("options", "cipher"), [
    ({"maximum": "1.2", "ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"}, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ({"maximum": "1.2", "ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305"}, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ({"ciphersuites": "TLS_AES_128_GCM_SHA256"}, "TLS_AES_128_GCM_SHA256"),
    ({"ciphersuites": "TLS_CHACHA20_POLY1305_SHA256", "groups": "P-521:P-384"}, "TLS_CHACHA20_POLY1305_SHA256"),
])
def test_ciphers_and_groups(ca: Authority, options: dict[str, Any], cipher: str) -> None:
    assert visit(context(ca.issue("127.0.0.1")), xdpws.TlsOptions(ca_file=ca.file, **options))["cipher"] == cipher


def test_no_cipher_in_common(ca: Authority) -> None:
    served = context(ca.issue("127.0.0.1"), maximum_version=ssl.TLSVersion.TLSv1_2)
    served.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    alerted(served, xdpws.TlsOptions(ca_file=ca.file, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384"), "handshake failure")


def test_what_cannot_be_set_up_names_the_file_or_the_setting(ca: Authority, other: Authority, tmp_path: Path) -> None:
    missing, garbage = str(tmp_path / "missing.pem"), tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    mine, another = ca.issue(client=True), other.issue(client=True)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"ca_file": missing}, missing), ({"ca_file": str(garbage)}, str(garbage)), ({"ca_file": str(tmp_path)}, "tmp"),
        ({"ca_dir": missing}, missing),
        ({"cert_file": missing}, missing), ({"cert_file": str(garbage)}, str(garbage)),
        ({"cert_file": ca.file, "key_file": missing}, missing), ({"cert_file": mine, "key_file": another}, another),
        ({"keylog_file": str(tmp_path / "no" / "log")}, str(tmp_path / "no" / "log")),
        ({"ciphers": "NO-SUCH-CIPHER"}, "NO-SUCH-CIPHER"), ({"ciphersuites": "TLS_NO_SUCH"}, "TLS_NO_SUCH"),
        ({"groups": "P-999"}, "P-999"),
    ]

    async def main() -> None:
        async with server(echo) as url:
            for options, named in cases:
                with pytest.raises(SetupError) as caught:
                    await dial(url.replace("ws://", "wss://"), tls=xdpws.TlsOptions(**options))
                assert named in str(caught.value), (options, str(caught.value))

    run(main())


def test_a_plain_server_is_no_tls_server() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async def main() -> None:
        async with raw_server(answer) as (host, port):
            with pytest.raises(TlsError, match="does not seem to speak TLS on this port"):
                await dial(f"wss://{host}:{port}/")

    run(main())


def test_tls_server_that_ends_without_close_notify(ca: Authority) -> None:
    """An attacker can end TCP: it is no orderly end."""
    async def cut(ws: Any) -> None:
        await ws.send("before")
        ws.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        await ws.wait_closed()

    async def main() -> None:
        async with server(cut, ssl=context(ca.issue("127.0.0.1"))) as url:
            async with dial(url, tls=xdpws.TlsOptions(ca_file=ca.file)) as ws:
                assert await ws.recv() == "before"
                with pytest.raises(ConnectionClosedError) as caught:
                    await ws.recv()
                assert caught.value.code == 1006

    run(main())
