"""Sphinx builds the site from this folder: `make docs`."""

from __future__ import annotations

from runagent import __version__

project = "RunAgent for Python and Jupyter"
author = "The RunAgent for Python and Jupyter developers"
release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
root_doc = "index"
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
# Saved outputs are shown; the tests execute the notebooks.
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures have them

html_theme = "furo"
html_title = "RunAgent"
html_copy_source = False
html_show_copyright = False
