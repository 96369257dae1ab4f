"""The directive that puts a part which is made from the code into a page.

```{generated} settings
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.util.docutils import SphinxDirective

from extension.docstrings import as_sphinx_wants, signature_of_init
from extension.notebooks import prepare
from extension.parts import PARTS

if TYPE_CHECKING:
    from docutils.nodes import Node
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


class Generated(SphinxDirective):
    """Puts one of the parts in its place."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """Return the nodes of the part."""
        text = PARTS[self.arguments[0]]()
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive to Sphinx, and have it read our docstrings and notebooks."""
    app.setup_extension("sphinx.ext.autodoc")
    # Before napoleon, which makes other markup of the sections.
    app.connect("autodoc-process-docstring", as_sphinx_wants, priority=400)
    app.connect("source-read", prepare)
    app.connect("autodoc-process-signature", signature_of_init)
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True}
