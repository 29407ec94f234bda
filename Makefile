# The two commands of a newcomer: `make hello` draws a picture, `make test` passes the tests.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python

.PHONY: hello test check serve clean

hello: $(VENV)/.installed
	$(RUN) main.py run workflows/hello.json

serve: $(VENV)/.installed
	$(RUN) main.py

test: $(VENV)/.installed-dev
	sh tools/browser.sh
	$(RUN) -m pytest

check: $(VENV)/.installed-dev
	$(RUN) -m ruff check .
	$(RUN) -m mypy --strict engine nodes main.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(RUN) -m pip install --quiet -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV)
