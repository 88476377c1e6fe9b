"""Certificates for tests and demonstrations: a small CA and a server certificate signed by it."""
from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from xdpws.errors import SetupError, UsageError

__all__ = ["CertificateFiles", "default_names", "make_certificate"]

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files: the CA for clients to trust, the server's chain (certificate, CA), the server's private key."""

    ca: Path
    cert: Path
    key: Path


def default_names(host: str) -> tuple[str, ...]:
    """What a server listening on `host` is called: the host itself, localhost and 127.0.0.1.

    The wildcard address is no name, so it is left out.
    """
    own = () if host in ("0.0.0.0", "::", "") else (host,)
    return tuple(dict.fromkeys((*own, "localhost", "127.0.0.1")))


def make_certificate(
    directory: Path, names: Sequence[str], key_type: str = "ecdsa", days: int = 30
) -> CertificateFiles:
    """Make a CA and a server certificate for `names` (host names and IP addresses) and write them to `directory`.

    Both are valid from two days ago until `days` days from now; -1 makes them expired. The private key is readable
    by its owner only; the CA's key is not kept. Raises
    `UsageError` for an empty list of names, `SetupError` if the files cannot be written.
    """
    if not names:
        raise UsageError("names: a certificate needs at least one")
    ca_key, key = _new_key(key_type), _new_key(key_type)
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "xdpws simulator CA")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    ca = _ca_certificate(ca_name, ca_key, days)
    builder = (
        _builder(subject, ca_name, key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    leaf = builder.sign(ca_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = CertificateFiles(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        files.ca.write_bytes(ca.public_bytes(pem))
        files.cert.write_bytes(leaf.public_bytes(pem) + ca.public_bytes(pem))
        files.key.unlink(missing_ok=True)
        with open(os.open(files.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secret)
    except OSError as exc:
        raise SetupError(f"write the certificate to {directory}", exc.strerror or str(exc),
                         "--cert-dir DIRECTORY", exc.errno) from None
    return files


def _new_key(key_type: str) -> _Key:
    if key_type == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: _Key, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _ca_certificate(name: x509.Name, key: _Key, days: int) -> x509.Certificate:
    return (
        _builder(name, name, key, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False)
