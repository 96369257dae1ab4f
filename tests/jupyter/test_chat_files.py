"""A chat that is kept in a file: it goes on in the next kernel, and nothing is lost or overwritten."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.disks import fill, small_disk
from support.kernel import Kernel

from runagent import RunAgentError, StreamEvent, ValidationError
from runagent_jupyter.chats.chat_file import ChatFile, KeptChat, read, save
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.event_log import EventLog

Start = Callable[..., Kernel]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    place = tmp_path / "chats"
    place.mkdir()
    return place


AGENTS = """
import asyncio
from runagent.local import agent
from runagent_jupyter import AgentWidget

asked = []

@agent("all")
async def everything(query: str, session_id: str = "", history: list = (), **_):
    asked.append([query, session_id, len(history)])
    if query == "table":
        yield {"rows": [{"name": "a", "size": 1.5}, {"name": "<b>", "size": 2}]}
    elif query == "steps":
        yield {"type": "tool_call", "name": "search", "args": {"q": "x"}}
        yield "The *an"
        yield "swer*\\n\\n```python\\nx = 1\\n```\\n"
    elif query == "half":
        yield "\\ud83d"
        yield "\\ude00 and \\ud800"
    elif query == "fails":
        yield "So far, "
        raise ValueError("broken here")
    elif query == "waits":
        yield "begun"
        await asyncio.Event().wait()
    else:
        yield f"You said {query}"
"""

FACTS = """[
    (t.role, t.text, t.status, t.stopped, t.usage, t.cost, t.elapsed, str(t.error), repr(type(t.error)))
    for t in w.turns
]"""


def known(kernel: Kernel) -> list[Any]:
    """The turns as pages get them, without the names that a page gave its questions."""
    turns: list[dict[str, Any]] = kernel.value("w._transcript(0)['turns']")
    return [{**turn, "request": None, "since": None} for turn in turns]


def code_of(kernel: Kernel, code: str) -> tuple[str, str]:
    """Run code that fails; return the code of its error and the text."""
    error = kernel.execute(code).error
    assert error is not None
    return str(kernel.value("__import__('sys').last_value.code")), error["evalue"]


def test_a_chat_goes_on_in_the_next_kernel_even_if_this_one_is_killed(
    start_kernel: Start, tmp_path: Path
) -> None:
    path = tmp_path / "talk.json"
    cell = f"{AGENTS}\nw = AgentWidget('all', store={str(path)!r}, history=True)"
    kernel = start_kernel()
    kernel.execute(cell).ok()
    for question in ("table", "steps", "half", "fails", "plain"):
        kernel.execute(f"w.ask({question!r}) and None").ok()
        assert len(read(path).turns) == kernel.value("len(w.turns)")
    facts, shown = kernel.value(FACTS), known(kernel)
    session = kernel.value("w.session_id")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kernel.execute(
        "asking = asyncio.ensure_future(w.ask_async('waits'))\n"
        "while not w.turns[-1].text: await asyncio.sleep(0.01)"
    ).ok()
    kernel.kill()

    kernel = start_kernel()
    kernel.execute(cell).ok()
    assert kernel.value(FACTS)[:-2] == facts
    assert known(kernel)[:-2] == shown
    assert kernel.value("[(t.role, t.text, t.status) for t in w.turns[-2:]]") == [
        ["user", "waits", "done"],
        ["agent", "", "stopped"],
    ]
    assert kernel.value("(w.ask('more').text, asked)") == [
        "You said more",
        [["more", session, len(facts) + 2]],
    ]
    assert "Cell In[1], line 21" in kernel.value("w.turns[7].error.__notes__[0]")
    assert [turn.text for turn in read(path).turns[-2:]] == ["more", "You said more"]


def test_two_kernels_cannot_keep_one_file(start_kernel: Start, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    cell = f"{AGENTS}\nw = AgentWidget('all', store={str(path)!r})"
    first, second = start_kernel(), start_kernel()
    first.execute(f"{cell}\nw.ask('x') and None").ok()
    before = path.read_bytes()
    code, text = code_of(second, cell)
    assert code == "CHAT_IN_USE"
    assert f"in use by process {first.pid}" in text
    assert path.read_bytes() == before
    second.execute(f"w = AgentWidget.load({str(path)!r})").ok()
    assert second.value("[t.text for t in w.turns]") == ["x", "You said x"]
    first.execute("w.close()").ok()
    second.execute(f"w = AgentWidget('all', store={str(path)!r})\nw.ask('y') and None").ok()
    assert len(read(path).turns) == 4
    assert code_of(first, "w.ask('z')")[0] == "CHAT_FILE"
    assert len(read(path).turns) == 4


def test_a_cell_that_runs_again_goes_on_and_the_older_chat_says_so(
    kernel: Kernel, tmp_path: Path
) -> None:
    store = f"store={str(tmp_path / 'talk.json')!r}"
    kernel.execute(f"{AGENTS}\nw = AgentWidget('all', {store})\nw.ask('x') and None").ok()
    kernel.execute(f"older, w = w, AgentWidget('all', {store})").ok()
    assert kernel.value("[t.text for t in w.turns]") == ["x", "You said x"]
    code, text = code_of(kernel, "older.ask('y')")
    assert code == "CHAT_FILE"
    assert "a newer chat of this kernel keeps it now" in text
    assert kernel.value("len(older.turns)") == 2
    kernel.execute("w.ask('z') and None").ok()
    kernel.execute(
        "asking = asyncio.ensure_future(w.ask_async('waits'))\n"
        "while not w.turns[-1].text: await asyncio.sleep(0.01)"
    ).ok()
    code, _ = code_of(kernel, f"AgentWidget('all', {store})")
    assert code == "CHAT_IN_USE"
    kernel.execute("w.close()\n(await asking) and None").ok()
    kept = read(tmp_path / "talk.json")
    assert [(turn.text, turn.status) for turn in kept.turns[-2:]] == [
        ("waits", "done"),
        ("begun", "stopped"),
    ]
    kernel.execute(f"w = AgentWidget('all', {store})\nw.clear()").ok()
    assert read(tmp_path / "talk.json").turns == []


def test_a_chat_is_saved_and_loaded(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    kernel.execute(
        f"""{AGENTS}
from runagent.local import serve
server = serve({{"all": everything}}, api_key="secret-key-1")
w = AgentWidget("all", title="Talk", api_key="secret-key-1", base_url=server.url)
w.ask("steps") and w.ask("fails") and None
w.save({str(path)!r})
"""
    ).ok()
    text = path.read_text()
    assert "secret-key" not in text
    assert "127.0.0.1" not in text
    content = json.loads(text)
    assert (content["format"], content["version"], content["agent_id"]) == (
        "runagent chat",
        2,
        "all",
    )
    shown = known(kernel)
    kernel.execute(
        f"before = w\nw = AgentWidget.load({str(path)!r}, api_key='secret-key-1', base_url=server.url)"
    ).ok()
    assert known(kernel) == shown
    assert kernel.value("(w.title, w.session_id == before.session_id, w.value)") == [
        "Talk",
        True,
        "So far, ",
    ]
    assert kernel.value("w.ask('on').status") == "done"
    assert json.loads(path.read_text()) == content
    other = kernel.execute(f"w = AgentWidget.load({str(path)!r}, 'demo', title='Other')").ok()
    assert other.stderr == ""
    assert kernel.value("(w.client.agent_id, w.title, len(w.turns))") == ["demo", "Other", 4]


def chat(*turns: Turn) -> KeptChat:
    return KeptChat("all", "Talk", "s", list(turns))


WHOLE = """{"format": "runagent chat", "version": 1, "agent_id": "a", "title": "t", "turns": %s}"""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "CHAT_DAMAGED"),
        ("{", "CHAT_DAMAGED"),
        ("[" * 100_000, "CHAT_DAMAGED"),
        ("\xff", "CHAT_DAMAGED"),
        ("[1, 2]", "CHAT_DAMAGED"),
        ('{"cells": []}', "CHAT_DAMAGED"),
        ('{"format": "runagent chat"}', "CHAT_DAMAGED"),
        (WHOLE.replace('"version": 1', '"version": 3') % "[]", "CHAT_VERSION"),
        (WHOLE % "3", "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "system"}]', "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "agent", "status": "done"}]', "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "user", "after": 0}]', "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "user", "after": "x"}]', "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "user", "after": -1.0}]', "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "user"}], "shown": 1', "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "user"}], "shown": 0.0', "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "agent", "text": 1}]', "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "agent", "status": "odd"}]', "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "agent", "status": "done", "events": [3]}]', "CHAT_DAMAGED"),
        (WHOLE % '[{"role": "agent", "status": "error", "error": 3}]', "CHAT_DAMAGED"),
    ],
)
def test_a_file_that_cannot_be_read_is_left_alone(folder: Path, text: str, code: str) -> None:
    path = folder / "talk.json"
    path.write_bytes(text.encode("latin-1"))
    before = path.read_bytes()
    for use in (
        lambda: read(path),
        lambda: ChatFile(path, lambda: True),
        lambda: save(path, chat(Turn("user", "x"))),
    ):
        with pytest.raises(ValidationError) as caught:
            use()
        assert caught.value.code == code
    assert path.read_bytes() == before
    assert list(folder.iterdir()) == [path]


def test_a_place_where_no_file_can_be_says_why(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "missing" / "talk.json", tmp_path / "folder"):
        with pytest.raises(RunAgentError) as caught:
            ChatFile(path, lambda: True)
        assert caught.value.code == "CHAT_FILE"
        assert str(path) in caught.value.message
    with pytest.raises(RunAgentError, match="No such file"):
        read(tmp_path / "none.json")


def test_a_file_that_something_else_has_changed_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    file = ChatFile(path, lambda: True)
    file.write(chat(Turn("user", "x")))
    path.write_text("mine")
    with pytest.raises(ValidationError, match="something else has changed it"):
        file.write(chat(Turn("user", "y")))
    assert path.read_text() == "mine"
    path.unlink()
    file.write(chat(Turn("user", "z")))
    assert [turn.text for turn in read(path).turns] == ["z"]
    file.close()


def test_a_link_stays_a_link_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "talk.json")
    save(tmp_path / "link.json", chat(Turn("user", "x")))
    assert (tmp_path / "link.json").is_symlink()
    assert len(read(tmp_path / "talk.json").turns) == 1


def test_a_turn_that_has_ended_is_encoded_once(tmp_path: Path) -> None:
    class Counted(EventLog):
        times = 0

        def joined(self) -> Iterator[StreamEvent]:
            Counted.times += 1
            return super().joined()

    events = Counted([StreamEvent("chunk", "a", "a"), StreamEvent("chunk", "b", "b")])
    turns = [Turn("user", "x"), Turn("agent", "ab", events=events)]
    file = ChatFile(tmp_path / "talk.json", lambda: True)
    for _ in range(3):
        file.write(chat(*turns))
    file.close()
    assert Counted.times == 1
    assert read(tmp_path / "talk.json").turns[1].events == [StreamEvent("chunk", "ab", "ab")]


WRITER = """
import itertools, sys
from runagent_jupyter.chats.chat_file import ChatFile, KeptChat
from runagent_jupyter.chats.turn import Turn

file = ChatFile(sys.argv[1], lambda: True)
for count in itertools.count(1):
    file.write(KeptChat("all", "Talk", "s", [Turn("user", 5_000 * "x") for _ in range(count)]))
    print(count, flush=True)
"""


def test_a_kill_in_the_middle_of_writing_leaves_a_whole_file(folder: Path) -> None:
    path = folder / "talk.json"
    for number in (3, 20, 41):
        path.unlink(missing_ok=True)
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                if int(line) == number:
                    break
            writer.kill()
        assert len(read(path).turns) >= number
        file = ChatFile(path, lambda: True)  # the lock has ended with the process
        file.write(chat())
        file.close()
        assert list(folder.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="it needs a tmpfs")
def test_a_full_disk_is_told_and_loses_nothing(kernel: Kernel, tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        path = disk / "talk.json"
        kernel.execute(f"{AGENTS}\nw = AgentWidget('all', store={str(path)!r})").ok()
        kernel.execute("w.ask('x' * 5000) and None").ok()
        before = path.read_bytes()
        filling = fill(disk)
        code, text = code_of(kernel, "w.ask('y')")
        assert code == "CHAT_FILE"
        assert "No space left on device" in text
        assert kernel.value("(len(w.turns), len(asked))") == [2, 1]  # it was not sent
        assert path.read_bytes() == before
        filling.unlink()
        kernel.execute("w.ask('z') and None").ok()
        assert len(read(path).turns) == 4
        kernel.execute("w.close()").ok()
