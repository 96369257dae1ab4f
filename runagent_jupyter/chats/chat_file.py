"""The file in which a chat is kept: JSON that is replaced as a whole, and by one chat at a time."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runagent import RunAgentError, ValidationError
from runagent.file_lock import FileLock
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.chats.turn_records import record_of, turn_of

FORMAT = "runagent chat"
VERSION = 2
"""The version of the files that this version writes; it reads those up to it."""

PathLike = str | os.PathLike[str]


@dataclass
class KeptChat:
    """A conversation as a file has it. There is no key in it, nor the address of a server.

    Attributes:
        agent_id: The agent of the next question.
        title: The title of the chat.
        session_id: The session of the next question; `None` for none.
        turns: The questions and answers of all branches, in the order in which they were asked.
        after: The position of the answer that a question follows, -1 for none, by the position of
            the question. All others follow the turn before them.
        shown: The position of the last turn that is shown. Default: the last one of all.
        agents: The ids of the agents by their labels, if there are several.
        sessions: The sessions by these labels.
        chosen: The label of the agent of the next question.
    """

    agent_id: str
    title: str
    session_id: str | None
    turns: Sequence[Turn] = field(default_factory=list)
    after: Mapping[int, int] = field(default_factory=dict)
    shown: int | None = None
    agents: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, str | None] = field(default_factory=dict)
    chosen: str = ""


class _ChatLock(FileLock):
    def in_use(self, path: Path, holder: str) -> ValidationError:
        return ValidationError(
            f"The chat in {str(path)!r} is in use by {holder}.",
            code="CHAT_IN_USE",
            hint="Shut that kernel down, or keep this chat in a file of its own. "
            "AgentWidget.load(path) opens the conversation without keeping the file.",
        )


class ChatFile:
    """The file of one chat, which no other kernel can use meanwhile.

    Args:
        path: The file. It is made when something is written, and only its owner can read it.
        is_resting: Whether the chat has no answer on its way.

    Raises:
        ValidationError: Another kernel uses the file, or a chat of this one that is busy; or it
            cannot be read, which changes nothing in it.

    Attributes:
        path: The file, without symbolic links on the way.
        found: The conversation in it; `None` if there is no file yet.
    """

    def __init__(self, path: PathLike, is_resting: Callable[[], bool]) -> None:
        self.path = _resolved(path)
        self._is_resting = is_resting
        self._closed = ""
        self._encoded: dict[int, tuple[Turn, str | None, str]] = {}  # turns that have ended
        with _changing:
            older = _open.get(self.path)
            self._lock = self._take_lock() if older is None else older._hand_over()  # noqa: SLF001
            self._release = weakref.finalize(self, self._lock.release)
            try:
                self._known = _state(self.path)
                self.found = read(self.path) if self._known is not None else None
            except BaseException:
                self._release()
                raise
            _open[self.path] = self

    def _take_lock(self) -> _ChatLock:
        with explained(self.path):
            return _ChatLock(self.path)

    def _hand_over(self) -> _ChatLock:
        """Give the file to a newer chat of this kernel, as when a cell is run again."""
        if not self._is_resting():
            raise ValidationError(
                f"The chat that is kept in {str(self.path)!r} has an answer on its way.",
                code="CHAT_IN_USE",
                hint="Wait for the answer, or stop it.",
            )
        self._release.detach()
        self._closed = "a newer chat of this kernel keeps it now; ask there"
        return self._lock

    def is_at(self, path: PathLike) -> bool:
        """Whether this is the file of a path."""
        return self.path == _resolved(path)

    def check(self) -> None:
        """Check that the next turn can be written.

        Raises:
            ValidationError: The chat has let go of the file, or something else has changed it.
        """
        reason = self._closed
        if not reason and _state(self.path) not in (self._known, None):
            reason = "something else has changed it meanwhile, and nothing is overwritten"
        if reason:
            raise ValidationError(
                f"The chat cannot be written to {str(self.path)!r}: {reason}.",
                code="CHAT_FILE",
                hint="chat.save() writes it to another file.",
            )

    def write(self, chat: KeptChat) -> None:
        """Write the conversation, all of it or nothing.

        Raises:
            RunAgentError: It cannot be written.
        """
        self.check()
        turns = [self._encode(turn, chat.after.get(i)) for i, turn in enumerate(chat.turns)]
        present = {id(turn) for turn in chat.turns}
        self._encoded = {key: kept for key, kept in self._encoded.items() if key in present}
        _replace(self.path, _text_of(chat, turns))
        self._known = _state(self.path)

    def _encode(self, turn: Turn, after: int | None) -> str:
        known = self._encoded.get(id(turn))
        if known is not None and known[1] == turn.feedback:
            return known[2]
        text = _dumped(record_of(turn) | ({} if after is None else {"after": after}))
        if turn.status != "streaming":
            self._encoded[id(turn)] = turn, turn.feedback, text
        return text

    def close(self) -> None:
        """Let go of the file."""
        with _changing:
            if not self._closed:
                self._closed = "the chat is closed"
                self._release()
                del _open[self.path]


_open: weakref.WeakValueDictionary[Path, ChatFile] = weakref.WeakValueDictionary()
_changing = threading.RLock()


def read(path: PathLike) -> KeptChat:
    """Read the conversation in a file.

    Raises:
        ValidationError: There is no such file, or it is no chat, or damaged, or written by a newer
            version.
    """
    file = _resolved(path)
    with explained(file):
        text = file.read_bytes()
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError("it is something else")
        version = content.get("version")
        if not isinstance(version, int) or version < 1:
            raise ValueError("its version is missing")
        if version > VERSION:
            raise ValidationError(
                f"The chat in {str(file)!r} was written by a newer version of runagent.",
                code="CHAT_VERSION",
                hint="Upgrade runagent, or take another file.",
            )
        session = content.get("session_id")
        return KeptChat(
            str(content["agent_id"]),
            str(content["title"]),
            None if session is None else str(session),
            [turn_of(record) for record in content["turns"]],
            *_places(content["turns"], content.get("shown")),
            {str(label): str(agent) for label, agent in content.get("agents", {}).items()},
            {str(label): s and str(s) for label, s in content.get("sessions", {}).items()},
            str(content.get("agent", "")),
        )
    except ValidationError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as exc:
        raise ValidationError(
            f"{str(file)!r} holds no chat, or is damaged: {exc}.",
            code="CHAT_DAMAGED",
            hint="It was not changed. Take another file, or move this one away.",
        ) from exc


def _places(records: list[Any], shown: Any) -> tuple[dict[int, int], int | None]:
    """Return `after` and `shown` of a chat.

    Raises:
        ValueError: They do not fit the turns.
    """
    after = {i: record["after"] for i, record in enumerate(records) if "after" in record}
    kinds = [record["role"] for record in records]
    if not all(isinstance(place, int | None) for place in (*after.values(), shown)):
        raise ValueError("the place of a turn in it is no whole number")
    if shown is not None and shown not in range(len(records)):
        raise ValueError("the branch that it shows is missing")
    for i, kind in enumerate(kinds):
        before = after.get(i, i - 1)
        if before not in range(-1, i) or (kind == "agent" and kinds[i - 1 : i] != ["user"]):
            raise ValueError("a turn in it is in no place")
    return after, shown


def save(path: PathLike, chat: KeptChat) -> None:
    """Write a conversation to a file, in place of another conversation or of nothing.

    Raises:
        ValidationError: Another chat keeps the file, or it holds something else than a chat.
        RunAgentError: It cannot be written.
    """
    if _resolved(path) in _open:
        raise ValidationError(
            f"Another chat of this kernel is kept in {str(path)!r}.",
            code="CHAT_IN_USE",
            hint="Save this chat to another file.",
        )
    file = ChatFile(path, lambda: True)
    try:
        file.write(chat)
    finally:
        file.close()


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one that says what to do."""
    try:
        yield
    except OSError as exc:
        raise RunAgentError(
            f"The chat cannot be kept in {str(path)!r}: {exc.strerror or exc}.",
            code="CHAT_FILE",
            hint="The conversation is still in the chat; chat.save() writes it to another file.",
        ) from exc


def _resolved(path: PathLike) -> Path:
    return Path(path).expanduser().resolve()


def _state(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written; `None` if there is no file."""
    with explained(path):
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _text_of(chat: KeptChat, turns: list[str]) -> str:
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "agent_id": chat.agent_id,
        "title": chat.title,
        "session_id": chat.session_id,
        "shown": chat.shown,
    }
    if chat.agents:
        head |= {"agents": chat.agents, "sessions": chat.sessions, "agent": chat.chosen}
    lines = ",\n".join(turns)
    return f'{_dumped(head)[:-1]}, "turns": [\n{lines}\n]}}\n'


def _dumped(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character
        return json.dumps(value)
    return text


def _replace(path: Path, text: str) -> None:
    """Put a file in the place of the old one, which stays until the new one is complete."""
    passing = path.with_name(f".{path.name}.new")
    with explained(path):
        try:
            passing.unlink(missing_ok=True)  # of a kernel that was killed
            file = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "wb") as stream:
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            passing.replace(path)
        except BaseException:
            passing.unlink(missing_ok=True)
            raise
