"""Help on our names, in `?` and Shift-Tab: a short signature, so that the purpose is seen at once.

IPython gives each parameter a line of its own. A client has two dozen of them, so JupyterLab's
tooltip would show nothing but them.
"""

from __future__ import annotations

import inspect
import textwrap
from typing import TYPE_CHECKING, Any

from IPython.core import oinspect

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_OURS = {"runagent", "runagent_jupyter"}
_KIND = "text/plain"
_WIDTH = 88
"""Characters of a line in JupyterLab's tooltip."""


def add(shell: InteractiveShell) -> None:
    """Have a shell show short signatures of our functions and classes.

    Args:
        shell: The IPython shell. Nothing changes before IPython 8.22, whose inspector has no hooks
            of this form, or if somebody else's hook is there.
    """
    remove(shell)
    inspector: Any = shell.inspector
    if hasattr(oinspect, "InspectorHookData") and _KIND not in inspector.mime_hooks:
        inspector.mime_hooks = {**inspector.mime_hooks, _KIND: _Shortened(inspector)}


def remove(shell: InteractiveShell) -> None:
    """Leave all signatures to IPython again."""
    inspector: Any = shell.inspector
    hooks = getattr(inspector, "mime_hooks", {})
    # One of a module that has been loaded again is of another class.
    if type(hooks.get(_KIND)).__module__ == __name__:
        inspector.mime_hooks = {kind: hook for kind, hook in hooks.items() if kind != _KIND}


class _Shortened:
    """Makes the help that IPython shows."""

    def __init__(self, inspector: Any) -> None:
        self._inspector = inspector

    def __call__(self, data: Any) -> list[tuple[str, str]] | None:
        """Return the titles and texts of the help on one object, `None` for IPython's own."""
        facts = data.info_dict
        definition = facts["init_definition"] or facts["definition"]
        if data.detail_level or facts["ismagic"] or not definition:
            return None
        if str(getattr(data.obj, "__module__", "")).partition(".")[0] not in _OURS:
            return None
        signature = _short(definition.partition("(")[0], inspect.signature(data.obj))
        sections = {
            "Signature": self._inspector.format(signature),
            "Docstring": facts["docstring"],
            "Init docstring": facts["init_docstring"],
            "File": facts["file"],
            "Type": facts["type_name"],
        }
        return [(title, text) for title, text in sections.items() if text]


def _short(name: str, signature: inspect.Signature) -> str:
    """Write a signature without its types, in as few lines as there is room for."""
    parts: list[str] = []
    keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        plain = parameter.replace(annotation=parameter.empty)
        # Lines break between parameters, and not in a default.
        parts.append(str(plain).replace(" ", "\N{NO-BREAK SPACE}"))
    call = f"{name}({', '.join(parts)})"
    lines = textwrap.wrap(
        call, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")
