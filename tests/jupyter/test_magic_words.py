"""The words of a magic's line: what they mean, and what is said where they mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from runagent import AsyncRunAgentClient, ValidationError
from runagent_jupyter.chats.cell_source import cell_source
from runagent_jupyter.magic_line.options import AskOptions, ConfigOptions, seconds_of

VARIABLES = {"three": "3", "n": 5, "rows": [1, {"a": 2}], "city": "New York", "quoted": 'a "b" c'}


def read(line: str, *, is_cell: bool = False) -> tuple[AskOptions, str]:
    options, question = AskOptions.parse(line, is_cell=is_cell)
    return (options if options.no_template else options.filled(VARIABLES)), question


def read_all(line: str, *, is_cell: bool) -> None:
    options, _ = read(line, is_cell=is_cell)
    options.fields()
    options.headers()


def refused(line: str, *, is_cell: bool = False) -> str:
    with pytest.raises(ValidationError) as caught:
        read_all(line, is_cell=is_cell)
    assert caught.value.code == "USAGE"
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "given", "question"),
    [
        ("echo hi --out r", {"out": "r"}, "hi"),
        ("echo hi there --out r --quiet", {"out": "r", "quiet": True}, "hi there"),
        ("echo --quiet hi there --out=r", {"out": "r", "quiet": True}, "hi there"),
        ("echo it's 5 - 3? --out r", {"out": "r"}, "it's 5 - 3?"),
        ("echo hi --session 'my trip'", {"session": "my trip"}, "hi"),
        ("echo -- what does --amend do --out x", {}, "what does --amend do --out x"),
        ("echo --quiet -- --out x", {"quiet": True}, "--out x"),
        ("echo what -- does - it --- do 5-3 -x -1", {}, "what -- does - it --- do 5-3 -x -1"),
        ("echo say '--out r' and \"--quiet\"", {}, "say '--out r' and \"--quiet\""),
        ("echo {{ n }} is {{ rows[0] }} --out r", {"out": "r"}, "{{ n }} is {{ rows[0] }}"),
        ("echo {{ '--out' }} x", {}, "{{ '--out' }} x"),
        ("--timeout 2m echo hi", {"timeout": "2m"}, "hi"),
        ("echo --session {{ city }} hi", {"session": "New York"}, "hi"),
        ("echo --header 'X-A: b c' --header X-B:'d e' x", {"header": ("X-A: b c", "X-B:d e")}, "x"),
    ],
)
def test_options_stand_before_or_behind_the_question(
    line: str, given: dict[str, Any], question: str
) -> None:
    options, asked = read(line)
    assert asked == question
    assert options.agent == "echo"
    assert {name: getattr(options, name) for name in given} == given
    assert options.out == given.get("out")


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ('s="3"', {"s": "3"}),
        ("s='3'", {"s": "3"}),
        ("s=3", {"s": 3}),
        ('s="true"', {"s": "true"}),
        ("s=true", {"s": True}),
        ("s=True", {"s": True}),
        ("s=None", {"s": None}),
        ("s=null", {"s": None}),
        ("s=NaN", {"s": "NaN"}),
        ("s=007", {"s": "007"}),
        ("s=", {"s": ""}),
        ('s=""', {"s": ""}),
        ('city="New York"', {"city": "New York"}),
        ("city='New York'", {"city": "New York"}),
        ("'city=New York'", {"city": "New York"}),
        ("city=“New York”", {"city": "New York"}),
        ('s="a \\"b\\" c"', {"s": 'a "b" c'}),
        ('s="[1, 2]"', {"s": "[1, 2]"}),
        ("s='[1, 2]'", {"s": [1, 2]}),
        ("s=[1, 2]", {"s": [1, 2]}),
        ('s={"a": [1, "}"]}', {"s": {"a": [1, "}"]}}),
        ("s={{n}}", {"s": 5}),
        ("s={{ n }}", {"s": 5}),
        ("s={{ n + 1 }}", {"s": 6}),
        ("s={{three}}", {"s": "3"}),
        ("s={{ rows }}", {"s": [1, {"a": 2}]}),
        ("s={{ city }}", {"s": "New York"}),
        ("s='{{ n }}'", {"s": "5"}),
        ('s="{{ quoted }}!"', {"s": 'a "b" c!'}),
        ("s=<{{ n }}>", {"s": "<5>"}),
        ("s={{ n }}{{ n }}", {"s": "55"}),
        ("s=[{{ n }}, {{ quoted }}]", {"s": [5, 'a "b" c']}),
        ('s={"a": {{ rows }}, "b": "{{ quoted }}"}', {"s": {"a": [1, {"a": 2}], "b": 'a "b" c'}}),
        ("s={{ {'a': n}['a'] }}", {"s": 5}),
        ("url=http://x/?a=b", {"url": "http://x/?a=b"}),
        ("s=it's", {"s": "it's"}),
        ("s=--out", {"s": "--out"}),
    ],
)
@pytest.mark.parametrize("form", ["--set ", "--set="])
def test_a_field_is_json_or_text(form: str, words: str, fields: dict[str, Any]) -> None:
    if form == "--set=" and words[0] in "'\"":
        words = words.strip("'\"").replace("=", "='") + "'"
    options, question = read(f"echo {form}{words} hi")
    assert options.fields() == fields
    assert question == "hi"
    options, question = read(f"echo hi {form}{words}")
    assert (options.fields(), question) == (fields, "hi")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("echo --sesion trip hi", ["--sesion", "Did you mean --session?"]),
        ("echo hi --sesion trip", ["--sesion", "Did you mean --session?"]),
        ("echo --ou r hi", ["Did you mean --out?"]),
        ("echo --no_stream hi", ["Did you mean --no-stream? %runagent?"]),
        ("echo --Quiet hi", ["Did you mean --quiet? %runagent?"]),
        ("echo --temperature 0.2 hi", ["send a field", "--set temperature=0.2."]),
        ("echo hi --temperature=0.2", ["send a field", "--set temperature=0.2."]),
        ("echo --max-tokens 9 hi", ["--set max_tokens=9."]),
        ("echo --stop", ["--set stop=VALUE"]),
        ("echo --test 3 hi", ["Did you mean --text?", "--set test=3"]),
        ("echo --agent x hi", ["--agent is an option of %runagent_config."]),
        ("echo hi --key", ["--key is an option of %runagent_config."]),
        ("echo --helpme", ["--helpme", "%runagent? lists the options"]),
        ("echo what does --amend do", ["--amend", "write -- before it", "below %%runagent"]),
        ("echo hi --out r there", ["'there'", '--out "r there"']),
        ("echo hi --quiet there", ["'there'", "before or behind the question"]),
        ("echo hi --set city=New York", ["'York'", '--set city="New York"']),
        ("echo -out r hi", ["'-out'", "Write --out."]),
        ("echo \u2014session a hi", ["Write --session."]),
        ("echo hi \u2013out r", ["Write --out."]),
        (
            "echo --set temperature 0.2",
            ["'temperature' is not KEY=VALUE", "--set temperature=VALUE"],
        ),
        ("echo --set city = Rome", ["without spaces around the equals sign"]),
        ('echo --set city="New York', ["nothing ends the quotation", "New"]),
        ("echo --out", ["--out", "expected one argument"]),
        ("echo hi --out", ["--out", "expected one argument"]),
        ("echo --out --quiet hi", ["--out", "expected one argument"]),
        ("echo --format pdf hi", ["'pdf'", "markdown"]),
        ("echo --out a hi --out b", ["--out is given twice"]),
        ("echo --session=a --session b hi", ["--session is given twice"]),
        ("echo --set a=1 --set a=2 hi", ["--set gives the field 'a' twice"]),
        ("echo --header X-A:1 --header x-a:2 hi", ["--header gives 'x-a' twice"]),
    ],
)
def test_a_slip_is_an_error_that_says_what_to_write(line: str, words: list[str]) -> None:
    said = refused(line)
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("echo --set city=New York", '--set city="New York"'),
        ("echo --session my trip", '--session "my trip"'),
        ("echo --session {{ city }} York", '--session "{{ city }} York"'),
        ("echo --session=my trip", 'quotes: --session "my trip"'),
        ("echo --set=city=New York", 'quotes: --set city="New York"'),
    ],
)
def test_a_value_with_a_space_is_told_to_be_quoted(line: str, hint: str) -> None:
    assert hint in refused(line, is_cell=True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("timeout 60", ["'timeout 60'", "Did you mean --timeout?"]),
        ("demo", ["'demo'", "%runagent_config? lists the options"]),
        ("--agnt x", ["Did you mean --agent?"]),
        ("--session x", ["--session is an option of %runagent."]),
        ("--agent 'demo", ["quotation"]),
    ],
)
def test_slips_in_the_settings_are_named(line: str, words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        ConfigOptions.parse(line)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("2m", "120"),
        ("90s", "90"),
        ("1h30m", "5400"),
        ("1.5h", "5400"),
        ("500ms", "0.5"),
        ("2 min", "120"),
        ("60", "60"),
        ("inf", "inf"),
        ("1x", "1x"),
        ("-2m", "-2m"),
        ("", ""),
    ],
)
def test_a_duration_may_have_a_unit(duration: str, seconds: str) -> None:
    assert seconds_of(duration) == seconds


def test_a_question_has_a_field() -> None:
    options, question = read('echo --field "" hi')
    with pytest.raises(ValidationError, match="--field needs the name of a field"):
        options.check(question, is_cell=False)


def test_without_templates_braces_are_text() -> None:
    options, question = read("echo --no-template --set n={{ n }} {{ x }}")
    assert options.fields() == {"n": "{{ n }}"}
    assert question == "{{ x }}"


@pytest.mark.parametrize(
    "value",
    [
        "3",
        "true",
        "O'Neil's",
        'a "b" c',
        "a\nb \\n",
        "{{ n }}",
        "",
        3,
        None,
        True,
        [1, "it's"],
        {"a": " "},
    ],
)
def test_the_cell_of_a_chat_says_the_same(value: object) -> None:
    source = cell_source(
        AsyncRunAgentClient("demo"), "q", field="query", entrypoint=None, context={"x": value}
    )
    options, rest = read(source.split("\n")[0].removeprefix("%%runagent "), is_cell=True)
    assert (options.agent, options.fields(), rest) == ("demo", {"x": value}, "")


def test_a_very_long_question_is_read_at_once() -> None:
    question = "why 'not \"so {{ " * 60_000
    assert read(f"echo --no-template --quiet {question}")[1] == question.strip()
