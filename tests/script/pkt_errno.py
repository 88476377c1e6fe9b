"""Names of C that scripts use, with Linux's numbers."""

from __future__ import annotations

import errno
import socket

NAMES: dict[str, int] = {
    "SOL_TCP": 6, "IPPROTO_TCP": 6, "SOL_IP": 0, "IPPROTO_IP": 0, "SOL_SOCKET": 1, "SOL_IPV6": 41, "IPPROTO_IPV6": 41,
    "SO_REUSEADDR": 2, "SO_ERROR": 4, "SO_SNDBUF": 7, "SO_RCVBUF": 8, "SO_KEEPALIVE": 9, "SO_LINGER": 13,
    "SO_ACCEPTCONN": 30, "SO_DEBUG": 1, "SO_REUSEPORT": 15, "SO_RCVTIMEO": 20, "SO_SNDTIMEO": 21, "SO_MARK": 36,
    "SO_BUSY_POLL": 46, "SO_ZEROCOPY": 60, "SO_TIMESTAMPING": 37, "SO_RCVLOWAT": 18, "SO_SNDLOWAT": 19,
    "SO_MAX_PACING_RATE": 47, "SO_PRIORITY": 12, "SO_TIMESTAMP": 29, "SO_OOBINLINE": 10, "SO_DONTROUTE": 5,
    "TCP_NODELAY": 1, "TCP_MAXSEG": 2, "TCP_CORK": 3, "TCP_NOPUSH": 3, "TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 6, "TCP_SYNCNT": 7, "TCP_LINGER2": 8, "TCP_DEFER_ACCEPT": 9, "TCP_WINDOW_CLAMP": 10, "TCP_INFO": 11,
    "TCP_QUICKACK": 12, "TCP_CONGESTION": 13, "TCP_MD5SIG": 14, "TCP_USER_TIMEOUT": 18, "TCP_FASTOPEN": 23,
    "TCP_TIMESTAMP": 24, "TCP_NOTSENT_LOWAT": 25, "TCP_FASTOPEN_CONNECT": 30, "TCP_FASTOPEN_KEY": 33,
    "TCP_INQ": 36, "TCP_CM_INQ": 36, "TCP_TX_DELAY": 37, "TCP_FASTOPEN_NO_COOKIE": 34,
    "IP_TOS": 1, "IP_TTL": 2, "IP_MTU_DISCOVER": 10, "IP_MTU": 14, "IP_PMTUDISC_DONT": 0, "IP_PMTUDISC_WANT": 1,
    "IP_PMTUDISC_DO": 2, "IP_FREEBIND": 15,
    "MSG_PEEK": 2, "MSG_DONTWAIT": 0x40, "MSG_NOSIGNAL": 0x4000, "MSG_MORE": 0x8000, "MSG_OOB": 1, "MSG_WAITALL": 0x100,
    "MSG_EOR": 0x80, "MSG_TRUNC": 0x20, "MSG_ERRQUEUE": 0x2000, "MSG_FASTOPEN": 0x20000000, "MSG_ZEROCOPY": 0x4000000,
    "O_RDONLY": 0, "O_WRONLY": 1, "O_RDWR": 2, "O_NONBLOCK": 0x800, "F_GETFL": 3, "F_SETFL": 4,
    "SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2, "SOCK_STREAM": 1, "SOCK_NONBLOCK": 0x800, "SOCK_CLOEXEC": 0x80000,
    "POLLIN": 1, "POLLPRI": 2, "POLLOUT": 4, "POLLERR": 8, "POLLHUP": 16, "POLLNVAL": 32, "POLLRDNORM": 0x40,
    "POLLWRNORM": 0x100, "POLLRDHUP": 0x2000, "SIOCINQ": 0x541B, "FIONREAD": 0x541B, "SIOCOUTQ": 0x5411,
    "SIOCOUTQNSD": 0x894B, "TIOCOUTQ": 0x5411, "INADDR_ANY": 0, "AF_INET": 2, "AF_UNSPEC": 0,
    "EPOLLIN": 1, "EPOLLOUT": 4, "EPOLLERR": 8, "EPOLLHUP": 16, "EPOLLRDHUP": 0x2000, "EPOLLET": 1 << 31,
    "EPOLL_CTL_ADD": 1, "EPOLL_CTL_DEL": 2, "EPOLL_CTL_MOD": 3,
    "TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5,
    "TCP_TIME_WAIT": 6, "TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10, "TCP_CLOSING": 11,
    "TCPI_CLOSING": 11, "TCPI_LAST_ACK": 9, "TCPI_SYN_RECEIVED": 3, "TCPI_ESTABLISHED": 1, "TCPI_TIME_WAIT": 6,
    "TCPI_CLOSE_WAIT": 8, "TCPI_FIN_WAIT_1": 4, "TCPI_FIN_WAIT_2": 5, "TCPI_SYN_SENT": 2, "TCPI_LISTEN": 10,
    "TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
    "TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8, "TCPI_OPT_ECN_SEEN": 16,
}


def number(name: str) -> int | None:
    if name in NAMES:
        return NAMES[name]
    return getattr(errno, name, None)


def errno_of(name: str) -> int:
    return int(getattr(errno, name, 0))


def errno_name(rc: int) -> str:
    return errno.errorcode.get(-rc, str(rc))


def address(text: str) -> int:
    return int.from_bytes(socket.inet_aton(text), "big")
