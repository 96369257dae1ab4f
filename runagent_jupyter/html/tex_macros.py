"""TeX beyond its core as agents write it, from packages for physics, units and chemistry.

The commands only draw. The converter to MathML does not know them, so they are written out for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

_TEMPLATES: Final[Mapping[str, tuple[int, str]]] = {
    "abs": (1, r"\left|#1\right|"),
    "norm": (1, r"\left\|#1\right\|"),
    "bra": (1, r"\left\langle #1\right|"),
    "ket": (1, r"\left|#1\right\rangle "),
    "braket": (1, r"\left\langle #1\right\rangle "),
    "ketbra": (2, r"\left|#1\right\rangle \left\langle #2\right|"),
    "mel": (3, r"\left\langle #1\right|#2\left|#3\right\rangle "),
    "expval": (1, r"\left\langle #1\right\rangle "),
    "comm": (2, r"\left[#1,#2\right]"),
    "dd": (0, r"\text{d}"),
    "dv": (2, r"\frac{\text{d}#1}{\text{d}#2}"),
    "pdv": (2, r"\frac{\partial #1}{\partial #2}"),
    "mathds": (1, r"\mathbb{#1}"),
    "textsc": (1, r"\text{#1}"),
    "widebar": (1, r"\overline{#1}"),
    "prescript": (3, r"{}^{#1}_{#2}#3"),
    "intertext": (1, r"\\ \text{#1} \\ "),
    "mathop": (1, "{#1}"),
    "Tr": (0, r"\operatorname{Tr}"),
    "tr": (0, r"\operatorname{tr}"),
    **dict.fromkeys(
        """tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge""".split(),  # noqa: SIM905  # a table of words
        (0, ""),
    ),
}
"""Of each command, the number of its arguments and the TeX that it stands for."""

_UNITS: Final[Mapping[str, str]] = dict(
    word.split("=")
    for word in r"""
    meter=m metre=m gram=g second=s ampere=A kelvin=K mole=mol candela=cd hertz=Hz newton=N
    pascal=Pa joule=J watt=W coulomb=C volt=V farad=F ohm=\Omega{} tesla=T weber=Wb henry=H lumen=lm
    lux=lx becquerel=Bq sievert=Sv liter=L litre=L minute=min hour=h day=d tonne=t electronvolt=eV
    bar=bar percent=\% degree=^{\circ} celsius=^{\circ}C degreeCelsius=^{\circ}C radian=rad bit=bit
    byte=B decibel=dB dalton=Da molar=M femto=f pico=p nano=n micro=\mu{} milli=m centi=c deci=d
    kilo=k mega=M giga=G tera=T per=/ square= squared=^{2} cubic= cubed=^{3}
    """.split()  # noqa: SIM905  # a table of words
)
"""The symbols of units and their prefixes, by their commands."""

_PLAINER: Final = (
    (re.compile(r"\\(begin|end)\{(?:gather|gathered|multline|subequations)\*?\}"), r"\\\1{matrix}"),
    # Without the star, the converter numbers the lines of each formula from 1.
    (re.compile(r"\\begin\{alignat\*?\}\s*\{\d\}|\\begin\{align\}"), r"\\begin{align*}"),
    (re.compile(r"\\end\{align(?:at\*?)?\}"), r"\\end{align*}"),
    (re.compile(r"\\(?:nonumber|notag)(?![A-Za-z])"), ""),
    (re.compile(r"\\tag\s*\{([^{}]*)\}"), r"\\qquad\\text{(\1)}"),
    (re.compile(r"\\tag\*\s*\{([^{}]*)\}"), r"\\qquad\\text{\1}"),
    (re.compile(r"\\begin\{alignedat\}\s*\{\d\}|\\begin\{aligned\}"), r"\\begin{split}"),
    (re.compile(r"\\end\{align(?:ed|edat)\}"), r"\\end{split}"),
    (re.compile(r"\\begin\{eqnarray\*?\}"), r"\\begin{array}{rcl}"),
    (re.compile(r"\\end\{eqnarray\*?\}"), r"\\end{array}"),
    (re.compile(r"\\(begin|end)\{dcases\}"), r"\\\1{cases}"),
    (re.compile(r"\\begin\{rcases\}"), r"\\left.\\begin{array}{ll}"),
    (re.compile(r"\\end\{rcases\}"), r"\\end{array}\\right\\}"),
    (re.compile(r"\\(?:begin|end)\{equation\*?\}"), ""),
    (re.compile(r"\\hspace\*"), r"\\hspace"),
    # The converter makes a single upright letter italic, and does not know the digit.
    (re.compile(r"\\mathrm\s*\{([A-Za-z])\}"), r"\\text{\1}"),
    (re.compile(r"\\math(?:bb|ds)\s*\{1\}"), "\U0001d7d9"),
)
"""Environments that the converter does not know, and those that look like them."""

_COMMAND = re.compile(r"\\([A-Za-z]+)")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_GAP = re.compile(r"\s*\{")
_PARAMETER = re.compile(r"#(\d)")
_EXPONENT = re.compile(r"[eE]([+-]?\d+)\Z")
_NAME = re.compile(r"(\\operatorname\*?)\s*\{([^{}]*)\}")
_ARG: Final = {"arg max": r"\argmax ", "arg min": r"\argmin "}


def written_out(tex: str) -> str:
    """Write out the commands that the converter to MathML does not know.

    Args:
        tex: A formula that passes the allow-list.

    Returns:
        The same formula in plainer TeX. Commands without their arguments stay.
    """
    for environment, plainer in _PLAINER:
        tex = environment.sub(plainer, tex)
    tex = _NAME.sub(_operator, tex)
    ends = _ends_of_groups(tex)
    written: list[str] = []
    position = 0
    for match in _COMMAND.finditer(tex):
        if match.start() >= position:  # and not in an argument
            plainer, end = _replaced(tex, match, ends)
            if end:
                written += [tex[position : match.start()], plainer]
                position = end
    return "".join(written) + tex[position:]


def _replaced(tex: str, match: re.Match[str], ends: Mapping[int, int]) -> tuple[str, int]:
    """Write out one command, and return where it ends; 0 if it stays."""
    name = match[1]
    if name == "qty" and tex[match.end() :][:1] in {"(", "["}:
        return "", match.end()
    count = (_SPECIAL.get(name) or _TEMPLATES.get(name) or (-1, ""))[0]
    arguments, end = _arguments(tex, match.end(), count, ends)
    if name in {"dv", "pdv"} and len(arguments) == 1:
        arguments = ["", *arguments]
    if len(arguments) != count:
        return "", 0
    if name in _SPECIAL:
        return _SPECIAL[name][1](*arguments), end
    shown = [written_out(argument) for argument in arguments]
    return _PARAMETER.sub(lambda found: shown[int(found[1]) - 1], _TEMPLATES[name][1]), end


def _ends_of_groups(tex: str) -> dict[int, int]:
    """Find the closing brace of each opening one."""
    ends: dict[int, int] = {}
    open_braces: list[int] = []
    for match in _BRACE.finditer(tex):
        if match[0] == "{":
            open_braces.append(match.start())
        elif match[0] == "}" and open_braces:
            ends[open_braces.pop()] = match.start()
    return ends


def _arguments(
    tex: str, position: int, count: int, ends: Mapping[int, int]
) -> tuple[list[str], int]:
    """Read up to `count` groups, and return where they end."""
    arguments: list[str] = []
    while len(arguments) < count and (match := _GAP.match(tex, position)):
        start = match.end() - 1
        if start not in ends:
            break
        arguments.append(tex[start + 1 : ends[start]])
        position = ends[start] + 1
    return arguments, position


def _operator(match: re.Match[str]) -> str:
    name = re.sub(r"\\[,;: ]|~", " ", match[2])
    return _ARG.get(name) or f"{match[1]}{{{name}}}"


def _unit(text: str) -> str:
    symbols = _COMMAND.sub(lambda match: _UNITS.get(match[1], match[0]), text)
    symbols = symbols.replace("~", " ").replace(".", "\u00b7")
    return rf"\text{{{symbols}}}" if symbols.isalpha() else rf"\mathrm{{{symbols}}}"


def _number(text: str) -> str:
    return _EXPONENT.sub(r"\\times 10^{\1}", text.replace(" ", ""))


_ARROWS: Final = {
    "->": "rightarrow",
    "<-": "leftarrow",
    "<->": "leftrightarrow",
    "<=>": "rightleftharpoons",
    "<=>>": "rightleftharpoons",
    "<<=>": "rightleftharpoons",
}
_CHEMISTRY = re.compile(
    r"(?P<arrow><<=>|<=>>|<=>|<->|->|<-)(?:\[(?P<above>[^\]]*)\])?(?:\[(?P<below>[^\]]*)\])?"
    r"|(?P<script>[_^])(?P<raised>\{[^{}]*\}|\d*[+-]|\d+|[A-Za-z]\b)"
    r"|(?P<sign>[+-])(?=\s|\)|\]|\Z)"
    r"|(?P<letters>[A-Za-z]+)|(?P<digits>(?<![A-Za-z)\]}])\d+(?:[./]\d+)?|\d+)|(?P<space>\s+)|(?P<tex>\\[A-Za-z]+|\{[^{}]*\})"
    r"|(?P<other>.)",
    re.DOTALL,
)


def chemistry(formula: str) -> str:
    r"""Write the formula of a substance or a reaction, the argument of ``\ce``, as plain TeX.

    Args:
        formula: Such as ``2H2 + O2 -> 2H2O``.

    Returns:
        TeX with upright letters, subscripts, charges and arrows.
    """
    written: list[str] = []
    before = " "
    for match in _CHEMISTRY.finditer(formula):
        written.append(_substance(match, before))
        before = match[0][-1]
    return "".join(written)


def _substance(match: re.Match[str], before: str) -> str:
    text = match[0]
    is_attached = before.isalnum() or before in ")]}"
    if match["arrow"]:
        over = chemistry(match["above"] or "")
        below = chemistry(match["below"] or "")
        arrow = rf"\{_ARROWS[match['arrow']]} "
        if not over and not below:
            return arrow
        return rf"\underset{{{below}}}{{\overset{{{over}}}{{{arrow}}}}} "
    if match["script"]:
        raised = match["raised"].strip("{}")
        return f"{'' if is_attached else '{}'}{match['script']}{{{raised}}}"
    if match["sign"]:
        return f"^{{{text}}}" if is_attached else f" {text} "
    if match["letters"]:
        is_alone = before.isspace() and match.string[match.end() :][:1] in {"", " "}
        return r"\downarrow " if text == "v" and is_alone else rf"\text{{{text}}}"
    if match["digits"]:
        return f"_{{{text}}}" if before.isalpha() or before in ")]}" else text
    return {"#": r"\equiv ", ".": r"\cdot ", "*": r"\cdot ", "^": r"\uparrow "}.get(text, text)


_SPECIAL: Final[Mapping[str, tuple[int, Callable[..., str]]]] = {
    **dict.fromkeys(("SI", "qty"), (2, lambda value, unit: rf"{_number(value)}\,{_unit(unit)}")),
    **dict.fromkeys(("si", "unit"), (1, _unit)),
    "num": (1, _number),
    "ang": (1, lambda value: rf"{_number(value)}^{{\circ}}"),
    "ce": (1, chemistry),
}
"""Of each other command, the number of its arguments and the function that writes it out."""

NAMES: Final = frozenset({*_TEMPLATES, *_SPECIAL, *_UNITS})
"""All these commands, without the backslash."""
