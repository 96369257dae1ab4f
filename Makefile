# Sets everything up inside the checkout and runs it, with any Python from 3.10 on.

PYTHON ?= python3
NOTEBOOK ?= quickstart.ipynb

CACHE := $(CURDIR)/.cache
TOOLS := $(CACHE)/tools

# uv does not read pip's settings by itself.
WITH_PIP_SETTINGS := $(PYTHON) .ci/with_pip_settings.py
UV := $(WITH_PIP_SETTINGS) $(TOOLS)/bin/uv
NOX := $(WITH_PIP_SETTINGS) $(TOOLS)/bin/nox

# Everything that is downloaded or written stays in the checkout.
export PIP_CACHE_DIR ?= $(CACHE)/pip
export UV_CACHE_DIR ?= $(CACHE)/uv
quickstart demo notebooks: export IPYTHONDIR = $(CACHE)/ipython
quickstart demo notebooks: export JUPYTER_CONFIG_DIR = $(CACHE)/jupyter/config
quickstart demo notebooks: export JUPYTER_DATA_DIR = $(CACHE)/jupyter/data
quickstart demo notebooks: export JUPYTER_RUNTIME_DIR = $(CACHE)/jupyter/runtime
quickstart demo notebooks: export MPLCONFIGDIR = $(CACHE)/matplotlib
quickstart demo notebooks: export XDG_CACHE_HOME = $(CACHE)
quickstart: export JUPYTERLAB_SETTINGS_DIR = $(CACHE)/jupyter/settings
quickstart: export JUPYTERLAB_WORKSPACES_DIR = $(CACHE)/jupyter/workspaces
test check screenshots: export XDG_CACHE_HOME = $(CACHE)

.PHONY: help quickstart demo notebooks docs test check screenshots clean

help:
	@echo 'make quickstart   set everything up and open a copy of $(NOTEBOOK) in JupyterLab'
	@echo 'make demo         set everything up, execute the notebook here and print what streams'
	@echo 'make notebooks    set everything up, execute all notebooks and save their outputs in them'
	@echo 'make docs         set everything up and build the site: build/site/index.html'
	@echo 'make test         set everything up and run all checks; ARGS="-s lint" runs some'
	@echo 'make check        run the few checks that matter most for a change: KIND=core, magic, chat or page'
	@echo 'make screenshots  set everything up and take pictures of all states, and those of the README'
	@echo 'make clean        remove everything that the others installed'
	@echo
	@echo 'PYTHON=python3.12 chooses the Python to set up with.'

quickstart: .venv/installed
	@.venv/bin/python -m notebooks.open $(notdir $(NOTEBOOK))

demo: .venv/installed
	.venv/bin/python -m notebooks.execute docs/tutorials/$(notdir $(NOTEBOOK))

notebooks: .venv/installed
	.venv/bin/python -m notebooks.execute --save docs/tutorials/*.ipynb

docs: $(TOOLS)/bin/nox
	$(NOX) -s docs

test: $(TOOLS)/bin/nox
	$(NOX) $(ARGS)

check: $(TOOLS)/bin/nox
	@$(NOX) -s check -- $(KIND)

screenshots: $(TOOLS)/bin/nox
	$(NOX) -s screenshots

clean:
	rm -rf .venv .nox .cache build

$(TOOLS)/bin/uv:
	@echo 'Setting up ...'
	@.ci/install-uv $(PYTHON) $(TOOLS)

$(TOOLS)/bin/nox: | $(TOOLS)/bin/uv
	@$(UV) pip install --quiet --python $(TOOLS) 'nox>=2025.2.9'

.venv/installed: pyproject.toml | $(TOOLS)/bin/uv
	@test -x .venv/bin/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip install --quiet --python .venv --editable '.[jupyter,local]' 'jupyterlab>=4.4' \
		matplotlib pandas pytest
	@touch $@
