"""The exchange simulator: a WebSocket server over TLS that plays recorded or synthetic market data.

`xdpws.sim.server.Exchange` is the server, `xdpws.sim.feed` the recording format, `xdpws.sim.synthetic` the generator.
Nothing in here imports the C core, so the simulator also runs where the extension is not built, and pyOpenSSL's own
OpenSSL never meets the one the core is linked with.
"""
