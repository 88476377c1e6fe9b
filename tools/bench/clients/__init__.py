"""One module a client; see driver.py."""
