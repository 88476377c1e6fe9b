# what proves it

.PHONY: test lint types check demo py-test
py-test: ext bpf
	$(PY) -m pytest -q tests
test: setup test-c py-test ## all the set-up, then the C and Python tests
lint: ext ## ruff, and the project's own style check
	.venv/bin/ruff check xdpws tools tests examples
	$(PY) tools/style_check.py
	$(PY) tools/compliance_check.py
types: ext ## mypy --strict
	.venv/bin/mypy --strict xdpws tools
	.venv/bin/mypy --strict examples
FEED ?=
demo: setup ## the synthetic feed (or FEED=path) over xdp and socket, with a table
	@$(PY) tools/demo.py --feed "$(FEED)"
.PHONY: test-feeds
test-feeds: ext bpf ## every recorded feed over every transport, mode and loader
	XDPWS_ALL_FEEDS=1 $(PY) -m pytest -q tests/net/test_feeds.py
.PHONY: wheel-check
wheel-check: apt ## pip install of what git tracks, in an environment of its own, plays a feed to itself
	@$(PY) tools/wheel_check.py
