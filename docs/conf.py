"""Sphinx builds the site from this folder: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from runagent import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "RunAgent for Python and Jupyter"
author = "The RunAgent for Python and Jupyter developers"
release = __version__

extensions = [
    "extension.directive",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
root_doc = "index"
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!runagent).*")]  # names of others have no page here
nitpick_ignore = [("py:class", "runagent_jupyter.event_log.EventLog")]  # a sequence to be read
exclude_patterns = [
    # Parts of generated pages.
    "reference/config-examples.md",
    "reference/error-codes.md",
    "reference/magic-examples.md",
    "reference/variables.md",
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Saved outputs are shown; the tests execute the notebooks.
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures have them
napoleon_use_rtype = False
default_role = "literal"  # of a backtick whose pair is on another line

pygments_dark_style = "monokai"
html_theme = "furo"
html_title = "RunAgent"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
