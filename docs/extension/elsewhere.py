"""Tables and pages that are written elsewhere, as they are on the site."""

from __future__ import annotations

import inspect
import re

from extension.places import ROOT
from runagent.encode import to_json

_LINK = re.compile(r"\[([^]]+)\]\(([^)#\s]+)[^)]*\)")
_ON_THE_SITE = {"SECURITY.md": "security.md", "CHANGELOG.md": "../help/changelog.md"}


def contributing() -> str:
    """Return the page for contributors, whose links lead to pages of the site."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")

    def on_the_site(link: re.Match[str]) -> str:
        target = link[2].replace("docs/", "../")
        return f"[{link[1]}]({_ON_THE_SITE.get(target, target)})"

    return _LINK.sub(on_the_site, text)


def conversions() -> str:
    """Return the table of values that can be sent, from the docstring of the function that does."""
    lines = inspect.getdoc(to_json) or ""
    return "\n".join(line for line in lines.splitlines() if line.startswith("|"))


def fronts() -> str:
    """Return the README's table of the front ends, without its links to tests."""
    readme = (ROOT / "README.md").read_text("utf-8")
    head = "| front |"
    _, _, after = readme.partition(head)
    return _LINK.sub(r"\1", head + after.partition("\n\n")[0])
