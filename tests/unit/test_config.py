"""xdpws.config: every setting is checked when it is made, and the error names the field."""
from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from xdpws.config import EngineConfig, TlsOptions, XdpOptions, pin_bytes
from xdpws.errors import UsageError

PIN = hashlib.sha256(b"key").digest()
SLASH = b"\xff" * 32  # its base64 begins with a slash


@pytest.mark.parametrize(("field", "values"), [
    ("max_conns", (0, -1, 4097)), ("batch", (0, 4097)), ("rcvbuf_len", (0, 32768, 65537, 100_000)),
    ("sndbuf_len", (-65536, 65535)), ("plain_len", (1 << 15, (1 << 20) + 1)),
])
def test_engine(field: str, values: tuple[int, ...]) -> None:
    for value in values:
        with pytest.raises(UsageError, match=rf"^{field} is {value}; it must be"):
            EngineConfig(**{field: value})  # type: ignore[arg-type]
    least: Any = {field: 4096 if field in ("max_conns", "batch") else 65536}
    assert getattr(EngineConfig(**least), field) == least[field]


@pytest.mark.parametrize(("field", "value"), [
    ("mode", "driver"), ("loader", "iproute2"), ("zero_copy", True), ("nic_time", "yes"), ("rx_len", 32),
    ("rx_len", 2047), ("tx_len", 0), ("address", "10.0.0.1/33"), ("address", "host"), ("address", "fe80::1/64"),
])
def test_xdp(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"^{field} is "):
        XdpOptions("eth9", **{field: value})


def test_xdp_interface_and_defaults() -> None:
    with pytest.raises(UsageError, match="interface is empty"):
        XdpOptions("")
    made = XdpOptions("eth9", address="10.0.0.5/24")
    assert (made.mode, made.loader, made.zero_copy, made.replace) == ("auto", "libbpf", "auto", False)
    assert hash(made) == hash(XdpOptions("eth9", address="10.0.0.5/24"))
    with pytest.raises(AttributeError):
        made.mode = "native"  # type: ignore[misc]


def test_tls() -> None:
    assert TlsOptions().verify is True
    for field in ("minimum", "maximum"):
        with pytest.raises(UsageError, match=rf"^{field} is '1.1'; it must be one of 1.2, 1.3"):
            TlsOptions(**{field: "1.1"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="minimum is above maximum"):
        TlsOptions(minimum="1.3", maximum="1.2")
    with pytest.raises(UsageError, match="key_file is given without cert_file"):
        TlsOptions(key_file="x.key")
    assert TlsOptions(cert_file="both.pem").key_file is None
    assert TlsOptions().engine == "auto"
    with pytest.raises(UsageError, match=r"^engine is .ktls."):
        TlsOptions(engine="ktls")  # type: ignore[arg-type]


@pytest.mark.parametrize("pin", [PIN, PIN.hex(), PIN.hex().upper(), base64.b64encode(PIN).decode(),
                                 "sha256/" + base64.b64encode(PIN).decode(),
                                 "sha256//" + base64.b64encode(PIN).decode()])
def test_pins_in_any_form(pin: str | bytes) -> None:
    assert pin_bytes(pin) == PIN
    assert TlsOptions(pins=(pin,)).pins == (pin,)


@pytest.mark.parametrize("prefix", ["", "sha256/", "sha256//"])
def test_base64_that_begins_with_a_slash(prefix: str) -> None:
    assert pin_bytes(prefix + base64.b64encode(SLASH).decode()) == SLASH


@pytest.mark.parametrize("pin", [b"", PIN[:31], PIN + b"x", "", "zz" * 32, PIN.hex()[:62], "sha256/", "žž",
                                 base64.b64encode(PIN).decode()[:-4], "md5/" + base64.b64encode(PIN).decode()])
def test_what_is_no_pin(pin: str | bytes) -> None:
    with pytest.raises(UsageError, match="is not a SHA-256"):
        TlsOptions(pins=(pin,))
