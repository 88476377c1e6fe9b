"""From the parameter `ssl`, as users of `websockets` give it, to TlsOptions."""
from __future__ import annotations

import ssl as ssl_module

from xdpws.config import TlsOptions, TlsVersion
from xdpws.errors import UsageError


def tls_options(ssl: TlsOptions | ssl_module.SSLContext | bool | None) -> TlsOptions:
    """The settings that `ssl` stands for: TlsOptions as they are, True and None for the defaults.

    Of an ssl.SSLContext what it tells is taken over: verification, the certificates loaded into it, versions,
    ciphers, the key log. It does not tell its client certificate (give TlsOptions(cert_file=...)) nor a directory of
    trusted certificates (TlsOptions(ca_dir=...)). Raises UsageError for what we cannot do: verifying the chain
    without the name, revocation lists, a version above or below 1.2 and 1.3.
    """
    if isinstance(ssl, TlsOptions):
        return ssl
    if ssl is None or ssl is True:
        return TlsOptions()
    if not isinstance(ssl, ssl_module.SSLContext):
        raise UsageError(f"ssl is {ssl!r}; it must be TlsOptions, an ssl.SSLContext, True or None")
    verify = ssl.verify_mode != ssl_module.CERT_NONE
    if verify and not ssl.check_hostname:
        raise UsageError("ssl verifies the chain but not the name; give server_hostname, or TlsOptions with pins")
    if ssl.verify_flags & (ssl_module.VERIFY_CRL_CHECK_LEAF | ssl_module.VERIFY_CRL_CHECK_CHAIN):
        raise UsageError("revocation lists of an ssl.SSLContext cannot be taken over")
    known = ssl.get_ca_certs(binary_form=True)
    data = "".join(ssl_module.DER_cert_to_PEM_cert(each) for each in known) if verify and known else None
    names = [each["name"] for each in ssl.get_ciphers()]
    usual = [each["name"] for each in ssl_module.SSLContext(ssl_module.PROTOCOL_TLS_CLIENT).get_ciphers()]
    older = [name for name in names if not name.startswith("TLS_")]
    return TlsOptions(verify=verify, ca_data=data, minimum=_version(ssl.minimum_version, "1.2"),
                      maximum=_version(ssl.maximum_version, "1.3"),
                      ciphers=":".join(older) if older and names != usual else None,
                      keylog_file=ssl.keylog_filename or None)


def _version(version: ssl_module.TLSVersion, extreme: TlsVersion) -> TlsVersion:
    """The nearest that we have; extreme: what "as far as possible" means on this side."""
    if version is ssl_module.TLSVersion.TLSv1_3:
        return "1.3"
    if version is ssl_module.TLSVersion.TLSv1_2:
        return "1.2"
    lowest = version is ssl_module.TLSVersion.MINIMUM_SUPPORTED or version < ssl_module.TLSVersion.TLSv1_2
    if extreme == "1.2" and lowest and version is not ssl_module.TLSVersion.MAXIMUM_SUPPORTED:
        return "1.2"
    if extreme == "1.3" and version is ssl_module.TLSVersion.MAXIMUM_SUPPORTED:
        return "1.3"
    raise UsageError(f"ssl wants TLS {version.name}; only 1.2 and 1.3 are spoken")
