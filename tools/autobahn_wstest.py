"""wstest of Autobahn|Testsuite, listening on one address only: runs under CPython 2.7, by tools/autobahn.py.

wstest itself listens on every address whatever its specification says. AUTOBAHN_ADDRESS: where to listen instead.
AUTOBAHN_COUNT: how many messages the cases 12.* and 13.* exchange (the suite: 1000).
"""
import os
import sys

del sys.path[0]  # this folder, whose autobahn.py is not the one that is meant

# isort: off
from autobahntestsuite import choosereactor  # noqa: E402, F401  before anything of Twisted's
from twisted.internet import reactor  # noqa: E402
from autobahntestsuite import case, wstest  # noqa: E402
# isort: on


def _bound(listen, at):
    """`listen` with its interface argument, the one at index `at`, replaced."""
    def bound(*args, **kwargs):
        kwargs["interface"] = os.environ.get("AUTOBAHN_ADDRESS", "127.0.0.1")
        return listen(*args[:at], **kwargs)
    return bound


reactor.listenTCP = _bound(reactor.listenTCP, 3)
reactor.listenSSL = _bound(reactor.listenSSL, 4)
if "AUTOBAHN_COUNT" in os.environ:
    for _case in case.Case12_X_X + case.Case13_X_X:
        _case.COUNT = int(os.environ["AUTOBAHN_COUNT"])
wstest.run()
