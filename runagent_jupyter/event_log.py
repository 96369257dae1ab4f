"""The events of a stream, kept in little memory: their text once, and what is more than text."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from sys import intern
from typing import Any, Final, NamedTuple, overload

from runagent import StreamEvent
from runagent.growing_text import GrowingText
from runagent.wire.text import with_pairs_joined
from runagent_jupyter.event_kinds import KIND, WORDS, is_step, text_of

_PIECE: Final = 16_384
"""Characters of a piece of news, at most, so that whoever takes it can stop in between."""

_THOUGHT: Final = 2_000
"""Characters of a step in the news, at most."""

_FEW: Final = 3
"""Events in the `repr`."""

_STEP: Final = " "
"""Stands before the JSON of a step: to tell it from text once more would take far longer."""

_SMALL: Final = 1_000
"""Characters of a small event."""

_SCALARS: Final = frozenset({str, bool, int, type(None)})


class _Form(NamedTuple):
    """The form of events that differ in nothing but a piece of text.

    Attributes:
        kind: The kind of the events.
        fields: Their value's fields but the text: the name, the value and its type, as 1 and `True`
            are equal.
        hole: The position of the text among the fields, and its name; `None` if the value is the
            text itself.
        has_text: Whether the `text` of the events has the text too.
        is_answer: Whether the text is part of the answer; otherwise the events are steps.
    """

    kind: str
    fields: tuple[tuple[str, Any, type], ...]
    hole: tuple[int, str] | None
    has_text: bool
    is_answer: bool

    def event(self, text: str) -> StreamEvent:
        """Make the event with a piece of text."""
        value: Any = text
        if self.hole is not None:
            position, name = self.hole
            items = [(name, item) for name, item, _ in self.fields]
            value = dict([*items[:position], (name, text), *items[position:]])
        return StreamEvent(self.kind, value, text if self.has_text else None)


_Kept = _Form | str | StreamEvent
"""An event: its form; its JSON, if it is small; or the event itself."""

_PLAIN: Final = _Form("chunk", (), None, True, True)


class EventLog(Sequence[StreamEvent]):
    """The events of a stream, in order: a sequence, to which the stream appends.

    A stream may have a million events that are nothing but a piece of text. So the text is kept
    once, as one string, and such an event is made when somebody asks for it: a new one each time,
    equal to the one that came. So is a small event of another kind, of which the JSON is kept. A
    large one is kept as it is.

    One thread appends; others may read meanwhile, and see the events so far.

    Args:
        events: The first events.

    Attributes:
        chunks: The number of chunks that have a value.
        answering: The number of those that are a piece of the answer's text.
        plain_steps: The number of those that are plainly steps.
        characters: The characters of the answer's text so far.
    """

    __slots__ = (
        *("_answer", "_aside", "_forms", "_has_other_text", "_lengths", "_starts"),
        *("answering", "characters", "chunks", "plain_steps"),
    )

    def __init__(self, events: Iterable[StreamEvent] = ()) -> None:
        self.clear()
        for event in events:
            self.append(event)

    def clear(self) -> None:
        """Forget all events."""
        self.chunks = self.answering = self.plain_steps = self.characters = 0
        self._answer = GrowingText()
        self._aside: GrowingText | None = None  # the text of steps
        self._has_other_text = False  # of the answer, in events that are kept as they are
        # Runs of events that are of one form or equal (a small one as its JSON); where each begins;
        # and the characters of each event, 0 for one that is kept as a whole.
        self._forms: list[_Kept] = []
        self._starts = array("B")
        self._lengths = array("B")

    def append(self, event: StreamEvent) -> None:
        """Add the next event."""
        value, text = event.value, event.text
        form: _Kept = _PLAIN
        adds: str | None = text
        if value.__class__ is not str or event.kind != "chunk" or text != value:
            adds = text_of(event)
            form, text = _form_of(event, adds)
            self.plain_steps += event.kind == "chunk" and is_step(value)
        if _is_chunk(event):
            self.chunks += 1
            self.answering += adds is not None
        last = self._forms[-1] if self._forms else None
        if form is not last and (last is None or not _is_same(form, last)):
            self._forms.append(form)
            self._starts = _with(self._starts, len(self._lengths))
        if isinstance(form, _Form):
            self._pool(form).recent().append(text or "")
        elif adds:
            self._has_other_text = True
        self.characters += len(adds or "")
        self._lengths = _with(self._lengths, len(text or ""))  # last, as readers go by it

    def close(self) -> None:
        """Join the text, as no more events come."""
        self._answer.close()
        if self._aside is not None:
            self._aside.close()
        self._forms = list(self._forms)  # without room for more

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        if not self._has_other_text:
            return self._answer.whole()
        return "".join(item for item in EventReader(self).news() if isinstance(item, str))

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[StreamEvent]:
        return self._events(together=False)

    def joined(self) -> Iterator[StreamEvent]:
        """Return the events, with the strings that follow each other as one."""
        return self._events(together=True)

    def _events(self, *, together: bool) -> Iterator[StreamEvent]:
        offsets = {True: 0, False: 0}
        for form, start, stop in self._runs(len(self)):
            if not isinstance(form, _Form):
                yield from (_whole(form) for _ in range(start, stop))
                continue
            lengths = self._lengths[start:stop]
            text = self._text_at(form, offsets[form.is_answer], sum(lengths))
            offsets[form.is_answer] += len(text)
            at = 0
            for length in [len(text)] if together and form == _PLAIN else lengths:
                yield form.event(text[at : at + length])
                at += length

    @overload
    def __getitem__(self, index: int) -> StreamEvent: ...
    @overload
    def __getitem__(self, index: slice) -> list[StreamEvent]: ...
    def __getitem__(self, index: int | slice) -> StreamEvent | list[StreamEvent]:
        if isinstance(index, slice):
            return list(self)[index]
        if not -len(self) <= index < len(self):
            raise IndexError("there are not so many events")
        index %= len(self)
        form = self._forms[bisect_right(self._starts, index) - 1]
        if not isinstance(form, _Form):
            return _whole(form)
        offset = sum(
            sum(self._lengths[start:stop])
            for before, start, stop in self._runs(index)
            if isinstance(before, _Form) and before.is_answer == form.is_answer
        )
        return form.event(self._text_at(form, offset, self._lengths[index]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (EventLog, list, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(map(StreamEvent.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment] # as of a list

    def __repr__(self) -> str:
        few = ", ".join(map(repr, islice(self, _FEW)))
        return f"EventLog of {len(self):,}: {few}{', …' if len(self) > _FEW else ''}"

    def _pool(self, form: _Form) -> GrowingText:
        if form.is_answer:
            return self._answer
        if self._aside is None:
            self._aside = GrowingText()
        return self._aside

    def _text_at(self, form: _Form, offset: int, length: int) -> str:
        return _between(self._pool(form), offset, offset + length)

    def _runs(self, count: int) -> Iterator[tuple[_Kept, int, int]]:
        """Return the forms of the first events, each with its first and last event (exclusive)."""
        starts = self._starts
        for number, start in enumerate(starts):
            if start >= count:
                return
            end = starts[number + 1] if number + 1 < len(starts) else count
            yield self._forms[number], start, min(end, count)


class EventReader:
    """Reads the events of a stream while they come, many pieces of text as one.

    Args:
        log: The events; they are not cleared while this reads.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._event = 0  # the first that is not read as a whole
        self._ahead = 0  # characters that are read, from that event on
        self._offsets = {True: 0, False: 0}  # characters that are read of the answer and of steps

    def news(self, with_text: Callable[[], bool] = lambda: True) -> Iterator[str | StreamEvent]:
        """Return what has come since the last piece of news that was taken, also if some was left.

        Args:
            with_text: Whether text is still wanted; otherwise, it is passed over.

        Returns:
            Text of the answer, and steps. The words of one thought are one step.
        """
        log = self._log
        count = len(log)
        while self._event < count:
            number = bisect_right(log._starts, self._event)  # noqa: SLF001 - of this module
            form = log._forms[number - 1]  # noqa: SLF001
            if not isinstance(form, _Form):
                self._event += 1
                event = _whole(form)
                is_step = isinstance(form, str) and form.startswith(_STEP)
                adds = None if is_step else text_of(event)
                if adds != "":
                    yield event if adds is None else adds
                continue
            stop = log._starts[number] if number < len(log._starts) else count  # noqa: SLF001
            total = sum(log._lengths[self._event : min(stop, count)])  # noqa: SLF001
            if not total and not form.is_answer:
                yield form.event("")
            if form.is_answer and not with_text():
                self._offsets[True] += total - self._ahead
                self._ahead = total
            while self._ahead < total:
                size = min(_PIECE if form.is_answer else _THOUGHT, total - self._ahead)
                text = log._text_at(form, self._offsets[form.is_answer], size)  # noqa: SLF001
                self._offsets[form.is_answer] += size
                self._ahead += size
                yield text if form.is_answer else form.event(text)
            self._event, self._ahead = min(stop, count), 0


def _between(text: GrowingText, start: int, stop: int) -> str:
    """Return the characters of a text from `start` to `stop`."""
    found: list[str] = []
    for piece in text.pieces():
        if stop <= 0:
            break
        if start < len(piece):
            found.append(piece[max(start, 0) : stop])
        start -= len(piece)
        stop -= len(piece)
    return "".join(found)


def _form_of(event: StreamEvent, adds: str | None) -> tuple[_Kept, str | None]:
    """Return how an event is kept, and its piece of text, if that is kept on its own.

    Args:
        event: The event.
        adds: The text that it adds to the answer; `None` for a step.
    """
    value = event.value
    hole = None
    if value.__class__ is dict:
        hole = next((name for name in WORDS if value.get(name).__class__ is str), None)
    if hole is None or event.text not in (None, value[hole]) or adds not in (None, value[hole]):
        return _as_json(event, adds), None
    # Of steps, only the words of a thought become one.
    if adds is None and not value.keys() <= {*KIND, *WORDS}:
        return _as_json(event, adds), None
    fields = []
    for name, item in value.items():
        if item.__class__ not in _SCALARS or name.__class__ is not str:
            return _as_json(event, adds), None
        if name != hole:
            fields.append((intern(name), item, item.__class__))
    place = (list(value).index(hole), hole)
    has_text = event.text is not None
    return _Form(event.kind, tuple(fields), place, has_text, adds is not None), value[hole]


def _as_json(event: StreamEvent, adds: str | None) -> _Kept:
    """Write a small event as JSON, which takes a fraction of the memory of its objects."""
    if _room(event.value, _SMALL - len(event.text or "")) < 0:
        return event
    written = json.dumps([event.kind, event.value, event.text], ensure_ascii=False)
    return intern(_STEP + written if adds is None else written)


def _room(value: Any, room: int) -> int:
    """Return what is left of a room of characters; -1 for a value that JSON may not give back."""
    kind = value.__class__
    if kind is str:
        return room - len(value)
    if kind in _SCALARS or kind is float:
        return room - 8 if kind is not int or abs(value) < 1 << 64 else -1
    if kind is list:
        items = value
    elif kind is dict and all(name.__class__ is str for name in value):
        items = [*value, *value.values()]
    else:
        return -1
    for item in items:
        if room < 0:
            break
        room = _room(item, room - 8)
    return room


def _whole(form: str | StreamEvent) -> StreamEvent:
    return form if isinstance(form, StreamEvent) else StreamEvent(*json.loads(form))


def _is_same(form: _Kept, last: _Kept) -> bool:
    """Whether two events may be kept as one: they differ in their pieces of text at most."""
    return not isinstance(form, StreamEvent) and form == last


def _with(numbers: array[int], number: int) -> array[int]:
    """Append a number to an array, or to a copy in which it has room."""
    try:
        numbers.append(number)
    except OverflowError:
        numbers = array("I", numbers)
        numbers.append(number)
    return numbers


def answer_of(log: EventLog) -> Any:
    """Find the answer of a stream that has ended.

    An object that is plainly a step, such as a tool call, belongs to the answer only if all objects
    are.

    Args:
        log: All its events.

    Returns:
        The text of the answer, the same string that the log has; or the object or the list of
        objects if there is no text.
    """
    if log.answering == log.chunks == 1:
        return next(event.value for event in log if _is_chunk(event))
    if log.answering or not log.chunks:
        text = log.text
        return text if text.isascii() else with_pairs_joined(text)
    answer = [event.value for event in log if is_object(event, log)]
    return answer[0] if len(answer) == 1 else answer


def is_object(event: StreamEvent, log: EventLog) -> bool:
    """Whether an event has an object that is the answer, or one of several, as there is no text."""
    if log.answering or not _is_chunk(event):
        return False
    return log.plain_steps == log.chunks or not is_step(event.value)


def _is_chunk(event: StreamEvent) -> bool:
    return event.kind == "chunk" and event.value is not None
