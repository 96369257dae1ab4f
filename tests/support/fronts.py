"""Pages as front ends make them, with their themes but without their programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# JupyterLab and its themes are installed with the tests; this is the rest of its rules for outputs.
_LAB: Final = """
body { background: var(--jp-layout-color0); }
.jp-RenderedHTMLCommon { color: var(--jp-content-font-color1); }
.jp-RenderedHTMLCommon a { color: var(--jp-content-link-color); }
.jp-RenderedHTMLCommon :is(code, pre) { color: var(--jp-content-font-color1); background: var(--jp-layout-color0); }
"""
_LAB_THEMES: Final = Path(sys.prefix, "share/jupyter/lab/themes/@jupyterlab")

# The colours of ipywidgets' `labvariables.css` and `widgets-base.css` (Modified BSD License), which
# every page with widgets has: JupyterLab's light theme.
_WIDGETS: Final = """
:root {
  --jp-border-color0: #616161; --jp-border-color1: #9e9e9e; --jp-border-color2: #e0e0e0;
  --jp-content-font-color0: black; --jp-content-font-color1: black; --jp-content-font-color2: #616161;
  --jp-layout-color0: white; --jp-layout-color1: white; --jp-layout-color2: #eeeeee;
  --jp-brand-color1: #2196f3; --jp-error-color0: #d32f2f; --jp-error-color1: #f44336;
  --jp-widgets-color: var(--jp-content-font-color1);
}
.jupyter-widgets { color: var(--jp-widgets-color); }
"""

# The default themes of VS Code 1.139 (MIT License): ground, text, links, errors.
_VSCODE: Final = {
    "vscode-dark": ("#1f1f1f", "#cccccc", "#4daafc", "#f85149"),
    "vscode-light": ("#ffffff", "#3b3b3b", "#005fb8", "#f85149"),
    "vscode-high-contrast": ("#000000", "#ffffff", "#21a6ff", "#f48771"),
    "vscode-high-contrast-light": ("#ffffff", "#292929", "#0f4a85", "#b5200d"),
}

# The colours of marimo 0.25 (Apache License 2.0).
_MARIMO: Final = """
:root { color-scheme: light; --background: #fff; --foreground: #0f172a; --link: #0b68cb; }
.dark { color-scheme: dark; --background: #181c1a; --foreground: #eceeed; --link: #479bf5; }
body { background-color: var(--background); color: var(--foreground); }
"""


@dataclass(frozen=True)
class Front:
    """A page in which a notebook is opened.

    Attributes:
        css: Its style sheets.
        body: The attributes of its `body`.
        output: The classes around an output.
        widget: The classes around a widget.
        shadow: Whether a widget is in the shadow root of an element.
    """

    css: str
    body: str = ""
    output: str = ""
    widget: str = "jupyter-widgets"
    shadow: bool = False

    def page(self, content: str) -> str:
        """Return the page.

        Args:
            content: The HTML of an output. A widget goes into `#widget`.
        """
        tag = "marimo-anywidget" if self.shadow else "div"
        return (
            f"<!doctype html><meta charset=utf-8><style>{self.css}</style><body {self.body}>"
            f'<div class="{self.output}">{content}</div>'
            f'<div class="{self.widget}"><{tag} id=widget></{tag}></div>'
        )


def _lab(theme: str, *, is_light: bool) -> Front:
    sheet = (_LAB_THEMES / theme / "index.css").read_text("utf-8")
    return Front(
        sheet + _LAB,
        f'data-jp-theme-light="{str(is_light).lower()}"',
        "jp-RenderedHTMLCommon jp-RenderedHTML",
    )


def _vscode(kind: str) -> Front:
    ground, text, link, error = _VSCODE[kind]
    css = f""":root {{
      --vscode-editor-background: {ground}; --vscode-editor-foreground: {text};
      --vscode-textLink-foreground: {link}; --vscode-errorForeground: {error};
    }}
    body {{ background: {ground}; color: {text}; }}
    a {{ color: {link}; }}
    .cell-output-ipywidget-background {{ background: white !important; }}"""
    return Front(
        _WIDGETS + css,
        f'class="{kind}" data-vscode-theme-kind="{kind}"',
        widget="cell-output-ipywidget-background",
    )


def _fronts() -> Iterator[tuple[str, Front]]:
    yield "JupyterLab light", _lab("theme-light-extension", is_light=True)
    yield "JupyterLab dark", _lab("theme-dark-extension", is_light=False)
    yield (
        "JupyterLab dark high contrast",
        _lab("theme-dark-high-contrast-extension", is_light=False),
    )
    for kind in _VSCODE:
        yield kind, _vscode(kind)
    yield "marimo light", Front(_MARIMO, output="marimo", widget="marimo", shadow=True)
    yield (
        "marimo dark",
        Front(_WIDGETS + _MARIMO, 'class="dark"', output="marimo", widget="marimo", shadow=True),
    )
    yield "nbclassic", Front(f"{_WIDGETS} body {{ background: #fff; color: #000; }}")
    yield "nothing but a page", Front("")
    yield "dark and says nothing", Front("body { background: #111; color: #ddd; }", widget="")
    yield (
        "dark and white controls",
        Front(f"{_WIDGETS} body {{ background: #383838; color: #d5d5d5; }}"),
    )
    yield "light and dark", Front(":root { color-scheme: light dark; }", widget="")


FRONTS: Final[Mapping[str, Front]] = dict(_fronts())
"""By name."""
