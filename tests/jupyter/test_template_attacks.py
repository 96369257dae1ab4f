"""Expressions reach data and not code: pasted text runs nothing, writes nothing, takes no time."""

from __future__ import annotations

import builtins
import collections
import ctypes
import datetime as dt
import enum
import io
import itertools
import os
import pathlib
import subprocess
import sys
import types
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import polars as pl
import pytest
from IPython.core.interactiveshell import InteractiveShell
from support.kernel import Kernel
from support.template_attacks import CODE, WORK

from runagent import ValidationError
from runagent_jupyter.templates import template

ran: list[str] = []


def runs(*_: Any, **__: Any) -> str:
    ran.append("ran")
    return "ran"


class Owner:
    """A value of the user's, with methods that must not be called."""

    rate = 0.5
    names = ("a", "b")
    run = staticmethod(runs)
    hidden = InteractiveShell

    def __init__(self) -> None:
        self.name = "Ada"
        self.callback = runs
        self.module = os
        self._secret = "planted"

    def method(self) -> str:
        return runs()

    @classmethod
    def of_class(cls) -> str:
        return runs()

    @property
    def total(self) -> int:
        return 42


class Word(str):
    """A text with a method of its own."""

    __slots__ = ()

    def upper(self) -> str:
        return runs()


class Frame(pd.DataFrame):
    """A table with a method of its own."""

    @property
    def _constructor(self) -> Any:
        return Frame

    def head(self, n: int = 5) -> Any:  # type: ignore[misc]
        return runs()


class Color(enum.Enum):
    RED = "#f00"


class Late(types.ModuleType):
    """A module that loads its parts when they are needed."""

    def __getattr__(self, name: str) -> str:
        return runs()


class Endless:
    def __iter__(self) -> Iterator[int]:
        return itertools.count()


@pytest.fixture(autouse=True)
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return the working directory, with one file in it."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "secret").write_text("planted")
    monkeypatch.chdir(place)
    ran.clear()
    return place


@pytest.fixture(scope="module")
def variables() -> dict[str, Any]:
    """Return the variables of a notebook; they are shared, because no attack changes them."""
    shell = InteractiveShell()
    return {
        "os": os,
        "sys": sys,
        "sh": shell,
        "get_ipython": lambda: shell,
        "open": open,
        "In": ["", "key = 'planted'"],
        "_ih": ["", "key = 'planted'"],
        "_i1": "key = 'planted'",
        "__builtins__": builtins,
        "np": np,
        "late": Late("late"),
        "pd": pd,
        "pl": pl,
        "jinja2": jinja2,
        "environ": os.environ,
        "modules": sys.modules,
        "space": {"os": os, "run": runs, "n": 1},
        "run": runs,
        "lambda_": lambda: runs(1),
        "method": Owner().method,
        "owner": Owner(),
        "Owner": Owner,
        "Color": Color,
        "color": Color.RED,
        "word": Word("hello"),
        "frame": Frame({"a": [1, 2]}),
        "df": pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], "apply": [1, 1, 1]}),
        "twins": pd.Series(1, index=[0] * 20_000),
        "others": pd.Series(1, index=[0] * 20_000 + [1]),
        "long": pd.Series(range(20_000)),
        "wide": pd.DataFrame({"n": range(20_000)}),
        "frame_pl": pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}),
        "lazy": pl.LazyFrame({"a": [1]}).map_batches(runs),  # type: ignore[arg-type]
        "array": np.arange(20_000),
        "words": np.array(["x", "y"], dtype=object),
        "rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        "texts": ["a", "b"],
        "text": "some text",
        "big": "x" * 1_000_000,
        "numbers": list(range(300_000)),
        "endless": Endless(),
        "counter": itertools.count(),
        "generator": (runs() for _ in range(3)),
        "file": io.StringIO("planted"),
        "path": pathlib.Path("secret"),
        "day": dt.date(2024, 1, 31),
        "cell": pd.Timestamp("2024-01-31"),
        "process": types.SimpleNamespace(run=runs, pid=1),
        "made": collections.defaultdict(runs),
        "shell_class": InteractiveShell,
        "libc": ctypes.pythonapi,
        "popen": subprocess.Popen,
        "error": ValueError("wrong"),
        "big_range": range(10**12),
        "fraction": Fraction(1, 3),
    }


@pytest.mark.parametrize("expression", [*CODE, *WORK])
def test_an_attack_is_refused(
    expression: str, variables: dict[str, Any], place: pathlib.Path
) -> None:
    before = repr(variables["rows"]), variables["df"].to_csv(), variables["array"].sum()
    with pytest.raises(ValidationError) as caught:
        template.fill(f"Look: {{{{ {expression} }}}}", variables)
    assert caught.value.code in ("TEMPLATE", "INVALID_INPUT")
    assert expression[:40] in caught.value.message
    assert "planted" not in str(caught.value)
    assert ran == []
    assert [path.name for path in place.iterdir()] == ["secret"]
    assert before == (repr(variables["rows"]), variables["df"].to_csv(), variables["array"].sum())
    assert dict(variables["made"]) == {}


@pytest.mark.parametrize(
    "cell",
    [
        "%%runagent echo\nDear team,\n{{{{ {attack} }}}}",
        '%%runagent echo\n{{"query": {{{{ {attack} }}}}}}',
        "%runagent echo {{{{ {attack} }}}}?",
        "%runagent echo --set mail={{{{ {attack} }}}} hi",
        "%runagent echo --input mail={attack}",
        "def ask(own):\n    %runagent echo {{{{ {attack} }}}}\nask(open)",
        "%runagent_config --agent {{{{ {attack} }}}}",
    ],
)
@pytest.mark.parametrize(
    "attack", ["get_ipython().system('touch_hacked')", "open('hacked','w').write('x')", "own('x')"]
)
def test_a_cell_runs_nothing(shared_kernel: Kernel, cell: str, attack: str) -> None:
    shared_kernel.execute(
        "%reload_ext runagent_jupyter\nfrom runagent.local import agent\nran = []\n"
        "get_ipython().system = own = ran.append\n"
        "@agent('echo')\ndef echo(query, **_):\n    ran.append(query)"
    ).ok()
    executed = shared_kernel.execute(cell.format(attack=attack))
    assert executed.status == "error"
    assert "cannot be filled in" in "".join((executed.error or {})["traceback"])
    assert shared_kernel.value("[ran, __import__('os').path.exists('hacked')]") == [[], False]
