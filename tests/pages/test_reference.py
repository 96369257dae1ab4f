"""The parts of the reference that are made from the code have an entry for each thing there is."""

from __future__ import annotations

from dataclasses import fields

import pytest
from extension.codes import EXPLAINED as EXPLAINED_CODES
from extension.codes import codes
from extension.magics import EXAMPLES, options
from extension.parts import PARTS
from extension.places import entries
from extension.settings import EXPLAINED as EXPLAINED_VARIABLES
from extension.settings import found, variables_read

from runagent_jupyter.magic_line.options import AskOptions, ConfigOptions


@pytest.mark.parametrize("part", PARTS)
def test_a_part_can_be_made(part: str) -> None:
    assert len(PARTS[part]()) > 100


def test_each_code_has_its_cause_and_its_cure() -> None:
    explained = entries(EXPLAINED_CODES)
    assert explained.keys() == codes().keys()
    for code, text in explained.items():
        assert text.startswith("**Cause.**"), code
        assert "\n\n**Cure.**" in text, code


def test_the_codes_are_found_wherever_they_are_written() -> None:
    known = codes()
    assert len(known) > 50
    assert known["MISSING_API_KEY"] == {"AuthenticationError", "ValidationError"}  # an argument
    assert "MISSING_VALUE" in known  # a constant
    assert {"NOT_FOUND", "RATE_LIMITED"} <= known.keys()  # assignments
    assert "STREAM_CUT_OFF" in known  # an argument by position


def test_each_option_of_the_magics_has_an_example() -> None:
    for magic, kind in {"runagent": AskOptions, "runagent_config": ConfigOptions}.items():
        known = [field.name for field in fields(kind)]
        names = {f"--{name.replace('_', '-')}" for name in known}
        if magic == "runagent":
            names = names - {"--agent", "--model"} | {"--as"}  # the agent stands without a name
        assert names == options(magic).keys()
        assert options(magic).keys() == entries(EXAMPLES[magic]).keys()
        for name, example in entries(EXAMPLES[magic]).items():
            assert f"%{magic}" in example, name
            assert name in example, name


def test_each_variable_is_explained() -> None:
    assert variables_read() == entries(EXPLAINED_VARIABLES).keys()
    settings = {variable for setting in found() for variable in setting.variables}
    assert settings <= variables_read()
