# Sets everything up inside the checkout and runs it; only Python 3.10 or newer must be there.

PYTHON ?= python3
NOTEBOOK ?= notebooks/quickstart.ipynb

CACHE := $(CURDIR)/.cache
TOOLS := $(CACHE)/tools
UV := $(TOOLS)/bin/uv
NOX := $(TOOLS)/bin/nox

# Everything that is downloaded or written stays in the checkout.
export PIP_CACHE_DIR ?= $(CACHE)/pip
export UV_CACHE_DIR ?= $(CACHE)/uv
quickstart demo: export IPYTHONDIR = $(CACHE)/ipython
quickstart demo: export JUPYTER_CONFIG_DIR = $(CACHE)/jupyter/config
quickstart demo: export JUPYTER_DATA_DIR = $(CACHE)/jupyter/data
quickstart demo: export JUPYTER_RUNTIME_DIR = $(CACHE)/jupyter/runtime
quickstart demo: export JUPYTERLAB_SETTINGS_DIR = $(CACHE)/jupyter/settings
quickstart demo: export JUPYTERLAB_WORKSPACES_DIR = $(CACHE)/jupyter/workspaces
test screenshots: export XDG_CACHE_HOME = $(CACHE)

# uv does not read pip's settings; these two it has to know.
PIP_INDEX_URL ?= $(shell $(PYTHON) -m pip config get global.index-url 2>/dev/null)
ifneq ($(strip $(PIP_INDEX_URL)),)
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifneq ($(strip $(PIP_CERT)),)
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

.PHONY: help quickstart demo test screenshots clean

help:
	@echo 'make quickstart   set everything up and open $(NOTEBOOK) in JupyterLab'
	@echo 'make demo         set everything up, execute the notebook here and print what streams'
	@echo 'make test         set everything up and run all checks; ARGS="-s lint" runs some'
	@echo 'make screenshots  set everything up and take pictures of all states, and those of the README'
	@echo 'make clean        remove everything that the others installed'
	@echo
	@echo 'PYTHON=python3.12 chooses the Python to set up with.'

quickstart: .venv/installed
	.venv/bin/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.allow_root=True $(NOTEBOOK)

demo: .venv/installed
	.venv/bin/python notebooks/execute.py $(NOTEBOOK)

test: $(NOX)
	.ci/install-chromium
	$(NOX) $(ARGS)

screenshots: $(NOX)
	.ci/install-chromium
	$(NOX) -s screenshots

clean:
	rm -rf .venv .nox .cache

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed, and $(PYTHON) is %d.%d: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 10) else 0)'
	@echo 'Setting up ...'
	@$(PYTHON) -m venv --clear $(TOOLS)
	@$(TOOLS)/bin/python -m pip --disable-pip-version-check --quiet install uv

$(NOX): | $(UV)
	@$(UV) pip install --quiet --python $(TOOLS) 'nox>=2025.2.9'

.venv/installed: pyproject.toml | $(UV)
	@test -x .venv/bin/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip install --quiet --python .venv --editable '.[jupyter,local]' 'jupyterlab>=4.4'
	@touch $@
