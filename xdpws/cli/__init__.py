"""The command `xdpws`: one module a sub-command, `main` brings them together."""
