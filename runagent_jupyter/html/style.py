"""The part of the style sheet that one piece of HTML needs: saved outputs carry their own."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final

_ROOT: Final = ".runagent-markdown"
_CODE_BLOCK: Final = '<pre class="ra-pre" dir="ltr"><code>'

_RULE = re.compile(r"([^{}]+)\{((?:[^{}]|\{[^{}]*\})*)\}")
_HOST: Final = ":host(marimo-anywidget)"
_EXCEPTION = re.compile(r":not\((?:[^()]|\([^()]*\))*\)")
_CHOICE = re.compile(r":(?:is|has)\(([^()]*)\)")
_LIST = re.compile(r":is\(([^()]*)\)")
_EQUALS = re.compile(r"^\.runagent-markdown :is\(((?:\.[\w-]+,?)+|(?:\w+,?)+)\)$")
_ATTRIBUTE = re.compile(r"\[(\w+)(?:\^?=([\w-]+))?\]")
_ADJACENT = re.compile(r"(\w+) \+ \1")
_NEXT = re.compile(r"</(ul|ol)>\s*<\1[ >]")
_PSEUDO = re.compile(r"::?[\w-]+")
_NAME = re.compile(r"\.((?:runagent|ra)-[\w-]+)|(?<![\w.-])([a-z][\w-]*)")
_USED = re.compile(r"var\((--r\w\w)\b")
_DEFINED = re.compile(r"(--r\w\w):([^;{}]*)(?:;|(?=\})|\Z)")

# Rules that count for some answers alone, whatever their elements: those with letters of scripts
# that are written from right to left, those with tabs, those that begin or end with something that
# has a margin there, such as a heading, and long ones, whose layout takes a page some time.
_BIDI: Final = "unicode-bidi:plaintext"
_RTL = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_TABS: Final = "tab-size"
_FIRST: Final = "margin-top:0"
_FLAT_FIRST = re.compile(r'<(?:p|ul|ol|blockquote|(?:div|details) class="ra-)')
_LAST: Final = "margin-bottom:0"
_FLAT_LAST = re.compile(r"</(?:p|ul|ol|blockquote|(?:pre|table)></div)>\s*\Z")
_UNSEEN: Final = "content-visibility"
_LONG: Final = 20_000  # characters of HTML

_CLASSES = re.compile(r'class="([^"]*)"')
_TAGS = re.compile(r"<([a-z][\w-]*)")
_VALUES = re.compile(r' (align|columnalign)="(\w+)"')


def style_of(sheet: str, content: str) -> str:
    """Pick the rules that HTML needs, and write them as briefly as browsers allow.

    Args:
        sheet: A style sheet without comments, whose rules apply below ``.runagent-markdown``.
        content: The HTML.

    Returns:
        A style sheet of its own, in which the root is written once.
    """
    names = {"body", "runagent-markdown", *_TAGS.findall(content)}
    names.update(f"runagent-{tag}-{tag}" for tag in _NEXT.findall(content))
    if content.count("<code>") == content.count(_CODE_BLOCK):
        names.discard("code")
    names.update(f"runagent-{name}-{value}" for name, value in _VALUES.findall(content))
    names.update(name for classes in _CLASSES.findall(content) for name in classes.split())
    if any(name.startswith("ra-") for name in names):
        names.add("runagent-class-ra-")
    unneeded = {_UNSEEN} if len(content) < _LONG else set()
    if not _RTL.search(content):
        unneeded.add(_BIDI)
    if "\t" not in content:
        unneeded.add(_TABS)
    if _FLAT_FIRST.match(content):
        unneeded.add(_FIRST)
    if _FLAT_LAST.search(content):
        unneeded.add(_LAST)
    return _picked(sheet, frozenset(names), frozenset(unneeded))


def shortened(sheet: str) -> str:
    """Write all rules of a sheet as `style_of` writes those that are needed.

    Args:
        sheet: A style sheet without comments, whose rules apply below ``.runagent-markdown``.

    Returns:
        A style sheet that looks the same.
    """
    return _grouped(_RULE.findall(sheet))


@functools.lru_cache(maxsize=64)
def _picked(sheet: str, names: AbstractSet[str], unneeded: AbstractSet[str]) -> str:
    rules = [
        (selector, body)
        for selector, body in _needed(sheet, names)
        if not any(body.startswith(one) for one in unneeded)
    ]
    values = _DEFINED.findall(";".join(body for selector, body in rules if selector == _ROOT))
    used: set[str] = set()
    while True:
        bodies = "".join(_without_unused(body, used) for _, body in rules)
        found = set(_USED.findall(bodies))
        if found <= used:
            break
        used |= found
    written = _grouped((selector, _without_unused(body, used)) for selector, body in rules)
    return functools.reduce(_with_value, values, written)


def _with_value(sheet: str, variable: tuple[str, str]) -> str:
    """Write the value of a variable in each place where it is used, if that is shorter."""
    name, value = variable
    definition, use = f"{name}:{value};", f"var({name})"
    places = sheet.count(use)
    if places * len(value) > places * len(use) + len(definition):
        return sheet
    return sheet.replace(definition, "").replace(use, value)


def _grouped(rules: Iterable[tuple[str, str]]) -> str:
    """Write rules, with the root once for all that follow each other below it."""
    out = nested = ""
    for selector, body in rules:
        if body and selector == _ROOT:
            nested += f"{body};".replace(";;", ";")
        elif body and _below_root(selector):
            nested += f"{_short(selector)}{{{_short(body)}}}"
        elif body:
            out += f"{_nest(nested)}{selector}{{{body}}}"
            nested = ""
    return (out + _nest(nested)).replace(";}", "}")


def _needed(sheet: str, names: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    for selector, body in _RULE.findall(sheet):
        if selector.startswith("@media"):
            body = "".join(f"{one}{{{rest}}}" for one, rest in _needed(body, names))  # noqa: PLW2901
            if body:
                yield selector, body
        elif selector.startswith("@keyframes"):
            if selector.split()[1] in names:  # the animations are named after the classes
                yield selector, body
        elif _applies(selector, names):
            selector = selector.replace(f":is({_ROOT},.runagent-chat)", _ROOT)  # noqa: PLW2901
            selector = selector.replace(f"{_ROOT},.runagent-chat", _ROOT)  # noqa: PLW2901
            shown = _without_others(names, is_variable=body.startswith("--"))
            yield _LIST.sub(shown, selector), body


def _applies(selector: str, names: AbstractSet[str]) -> bool:
    """Check whether HTML has every element that a selector names, whatever the page around it."""
    selector = _EXCEPTION.sub("", selector.replace(_HOST, ".runagent-chat"))
    selector = _ADJACENT.sub(r".runagent-\1-\1", _ATTRIBUTE.sub(_as_class, selector))
    while choice := _CHOICE.search(selector):
        found = "" if _applies(choice[1], names) else ".runagent-absent"
        selector = selector[: choice.start()] + found + selector[choice.end() :]
    return any(
        all(set(filter(None, found)) <= names for found in _NAME.findall(_PSEUDO.sub("", part)))
        for part in selector.split(",")
    )


def _without_others(
    names: AbstractSet[str], *, is_variable: bool
) -> Callable[[re.Match[str]], str]:
    """Leave out of a list in ``:is(…)`` the elements that HTML does not have.

    The list counts as much as before against other rules: where the one that counted most is left
    out, a name that nothing has is in its place. Only rules for variables have no others.
    """

    def written(found: re.Match[str]) -> str:
        members = found[1].split(",")
        used = [member for member in members if _applies(member, names)]
        most = max(map(_weight, members))
        if used and max(map(_weight, used)) < most and not is_variable:
            used.append("i" * bool(most[1]) + ".r" * most[0])
        shorter = used[0] if len(used) == 1 else f":is({','.join(used)})"
        return shorter if used and len(shorter) < len(found[0]) else found[0]

    return written


def _weight(selector: str) -> tuple[int, int]:
    """Return how much a selector counts: its classes and the like, and its elements."""
    tags = re.findall(r"(?:^|[\s>+])[a-z]", selector)
    return len(re.findall(r"[.\[]|(?<!:):(?!:)", selector)), len(tags)


def _as_class(attribute: re.Match[str]) -> str:
    is_known = attribute[1] in {"align", "columnalign", "class"}
    return f".runagent-{attribute[1]}-{attribute[2]}" if is_known else ""


def _without_unused(body: str, used: AbstractSet[str]) -> str:
    return _DEFINED.sub(lambda match: match[0] if match[1] in used else "", body)


def _below_root(selector: str) -> bool:
    return selector.startswith(("@media", *(f"{_ROOT}{sign}" for sign in " .>")))


def _short(text: str) -> str:
    text = text.replace(_ROOT * 2, "&&").replace(f"{_ROOT}>", ">")
    text = _EQUALS.sub(r"\1", text)  # members of a list that count the same need no `:is`
    return text.replace(f"{_ROOT} ", "")


def _nest(rules: str) -> str:
    return f"{_ROOT}{{{rules}}}" if rules else ""
