# the documentation: pages in docs/, API reference from docstrings, commands from their --help

.PHONY: docs
docs: ext ## build/docs/index.html; warnings and dead links are errors
	@NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(PY) -m mkdocs build --strict --quiet
	@echo "  DOCS $(BUILD)/docs/index.html"
