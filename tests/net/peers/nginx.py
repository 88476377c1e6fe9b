"""Debian's nginx as TLS front: it ends TLS and hands the WebSocket to a plain backend, as exchanges' fronts do."""
from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

_NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

needs_nginx = pytest.mark.skipif(_NGINX is None, reason="needs nginx (apt-get install nginx-light)")

_CONF = """
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen {host}:{port} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols {protocols};
        {ciphers}
        location / {{
            proxy_pass http://{backend};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_read_timeout 60s;
        }}
    }}
}}
"""


class NginxFront:
    """A running nginx of our own: own configuration, pid file and temporary directory, in the foreground.

    `backend` "host:port" of a plain WebSocket server, reachable from the same namespace; `cert`, `key` PEM files;
    `tls` "1.2", "1.3" or None for both; `ciphers` OpenSSL names of TLS 1.2 ciphers, or TLS 1.3 suites (TLS_...).
    Port 0 takes a free one. A context manager; `url` is where to connect to.
    """

    def __init__(
        self, backend: str, cert: Path, key: Path, *, host: str = "127.0.0.1", port: int = 0, tls: str | None = None,
        ciphers: str = "", netns: str | None = None,
    ) -> None:
        assert _NGINX is not None
        self.port = port or _free_port()
        self.url = f"wss://{host}:{self.port}/"
        self._dir = Path(tempfile.mkdtemp(prefix="xw-nginx-"))
        directive = ""
        if ciphers:
            directive = (f"ssl_conf_command Ciphersuites {ciphers};" if ciphers.startswith("TLS_")
                         else f"ssl_ciphers {ciphers};")
        conf = self._dir / "nginx.conf"
        conf.write_text(_CONF.format(dir=self._dir, host=host, port=self.port, cert=cert, key=key, backend=backend,
                                     protocols=f"TLSv{tls}" if tls else "TLSv1.2 TLSv1.3", ciphers=directive))
        self._log = self._dir / "stderr"
        prefix = ["ip", "netns", "exec", netns] if netns else []
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen([*prefix, _NGINX, "-p", str(self._dir), "-e", "stderr", "-c", str(conf)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._wait_until_listening()
        except BaseException:
            self.stop()
            raise

    def log(self) -> str:
        """What nginx has written so far."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """SIGTERM (fast shutdown), after five seconds SIGKILL; removes the directory."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5)
        shutil.rmtree(self._dir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"nginx ended: {self.log()[-2000:]}")
            with contextlib.suppress(OSError):
                if self._listens():
                    return
            time.sleep(0.02)
        raise RuntimeError(f"nginx does not listen: {self.log()[-2000:]}")

    def _listens(self) -> bool:
        """Whether a listening socket on the port is the process's own, in whatever namespace it is."""
        proc = Path(f"/proc/{self.process.pid}")
        own = {os.readlink(fd) for fd in (proc / "fd").iterdir()}
        rows = [line.split() for line in (proc / "net" / "tcp").read_text().splitlines()[1:]]
        return any(row[1].endswith(f":{self.port:04X}") and row[3] == "0A" and f"socket:[{row[9]}]" in own
                   for row in rows)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
