"""What a script takes for granted of the host that it was written for, in terms of the stack's settings.

``linux`` is the default of this runner, ``freebsd`` is chosen where a script speaks of net.inet sysctls. What shell
lines set (``sysctl``, ``set_sysctls.py``) is read and mapped where the stack has it; the rest of shell is skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pkt_syntax import NS

MS = NS // 1000
ASSIGN = re.compile(r"(?:/proc/sys/)?([a-z][a-z0-9_./]*)\s*=\s*(\"[^\"]*\"|'[^']*'|\S+)")


@dataclass(slots=True)
class Profile:
    name: str
    stack: dict[str, int] = field(default_factory=dict)    # of struct xw_stack_cfg
    sockets: dict[str, int] = field(default_factory=dict)  # options of each socket
    ignored: list[str] = field(default_factory=list)


def linux() -> Profile:
    # rmem of 8 MiB makes the window scale 8; the window itself does not matter to these scripts
    return Profile("linux", {"rcvbuf_max": 1 << 23, "sndbuf_max": 1 << 22, "tx_segments": 1024},
                   {"NODELAY": 0, "RTO_MIN": 200 * MS, "RTO_INITIAL": NS, "ACK_POLICY": 0, "CC": 1})


def freebsd() -> Profile:
    return Profile("freebsd", {"rcvbuf_max": 1 << 21, "sndbuf_max": 1 << 18, "tx_segments": 1024},
                   {"NODELAY": 0, "RTO_MIN": 230 * MS, "RTO_INITIAL": NS, "ACK_POLICY": 1, "ACK_DELAY": 40 * MS,
                    "CC": 1, "RCVBUF": 65536})


BOOLS = {"tcp_timestamps": "TIMESTAMPS", "tcp_sack": "SACK", "tcp_window_scaling": "WSCALE",
         "net.inet.tcp.sack.enable": "SACK"}
COUNTS = {"tcp_syn_retries": "SYN_RETRIES", "tcp_retries2": "DATA_RETRIES", "tcp_keepalive_probes": "KEEP_PROBES",
          "net.inet.tcp.keepcnt": "KEEP_PROBES", "net.inet.tcp.initcwnd_segments": "INIT_CWND"}
TIMES = {"tcp_keepalive_time": ("KEEP_IDLE", NS), "tcp_keepalive_intvl": ("KEEP_INTERVAL", NS),
         "tcp_rto_min_us": ("RTO_MIN", 1000), "tcp_rto_max_ms": ("RTO_MAX", MS),
         "net.inet.tcp.keepidle": ("KEEP_IDLE", MS), "net.inet.tcp.keepintvl": ("KEEP_INTERVAL", MS),
         "net.inet.tcp.rexmit_initial": ("RTO_INITIAL", MS), "net.inet.tcp.delacktime": ("ACK_DELAY", MS)}


def apply(p: Profile, shell: str) -> None:
    """Takes in what a shell line sets."""
    for path, raw in ASSIGN.findall(shell):
        name = path.replace("/", ".").removeprefix("net.ipv4.")
        value = raw.strip("\"'")
        if name == "net.inet.tcp.rfc1323" and value.isdigit():
            p.sockets["TIMESTAMPS"] = int(value in ("1", "3"))
            p.sockets["WSCALE"] = int(value in ("1", "2"))
        elif name in BOOLS and value.isdigit():
            p.sockets[BOOLS[name]] = int(value != "0")
        elif name in COUNTS and value.isdigit():
            p.sockets[COUNTS[name]] = int(value)
        elif name in TIMES and value.isdigit():
            option, unit = TIMES[name]
            p.sockets[option] = int(value) * unit
        elif name == "net.inet.tcp.recvspace" and value.isdigit():
            p.sockets["RCVBUF"] = int(value)
        elif name == "net.inet.tcp.delayed_ack":
            p.sockets["ACK_POLICY"] = int(value == "1")
        elif name == "tcp_congestion_control":
            p.sockets["CC"] = 1 if value == "cubic" else 0
        elif name == "tcp_min_tso_segs":
            pass
        elif name.startswith(("tcp_", "net.")):
            p.ignored.append(f"{name}={value}")


def choose(text: str) -> Profile:
    p = freebsd() if "net.inet." in text or "kern." in text else linux()
    for shell in re.findall(r"`([^`]*)`", text):
        apply(p, shell)
    return p
