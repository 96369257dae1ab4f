"""Attempts that workers of an executor make: the task that travels there, and its work there."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import secrets
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from runagent import config
from runagent.call import Attempt
from runagent.errors import AuthenticationError, RunAgentError, ValidationError
from runagent.interrupt import BlockingIO, IOGroup
from runagent.locks import ForkSafeLock
from runagent.pumps import SyncPump
from runagent.redaction import confidential
from runagent.secrecy import conceal
from runagent.version import __version__
from runagent.wire import Input

MOST_PUMPS = 8
"""Servers, agents and settings whose connections a worker keeps, at most."""

LONGEST_DETAILS = 10_000
"""Characters of an error's details that are sent back, at most."""

Outcome = tuple[float, "Attempt | None", "RunAgentError | None"]
"""Of one row: the seconds that its attempt took, and the attempt or why none was made."""

Reply = tuple[str, float, list[Outcome]]
"""The worker's name, the seconds that the task took, and the outcome of each row."""


class Tasks:
    """Makes the tasks of one batch: everything that a worker needs for some rows, and no secrets.

    A worker takes the API key, the proxies and the certificates to trust from the place where it
    runs. Threads of this process find them in memory.
    """

    def __init__(
        self,
        settings: config.Settings,
        arguments: Mapping[str, Any],
        call: Input,
        timeout: float,
        headers: Mapping[str, str],
        *,
        ships: bool,
    ) -> None:
        """Prepare the tasks of a batch.

        Args:
            settings: The settings of the client.
            arguments: The arguments that made the client.
            call: The input of a call, without its content.
            timeout: Seconds that an attempt may take.
            headers: Sent with each request, over the client's.
            ships: Whether the API key and other secrets are part of each task.

        Raises:
            ValidationError: A client that cannot be made anew elsewhere.
        """
        if arguments["http_client"] is not None:
            raise _not_sendable("a client with its own http_client=")
        self._public: dict[str, Any] = {
            "agent_id": settings.agent_id,
            "base_url": settings.base_url,
            "protocol": settings.protocol,
            "allow_http": settings.allow_http,
            "max_message_size": arguments["max_message_size"],
            "connection_pool_size": arguments["connection_pool_size"],
        }
        self._secret: dict[str, Any] = {}
        # A worker has an API key of its own; nothing there can take the place of these.
        self._missing: list[str] = []
        self._sort_out(settings.api_key, {**settings.headers, **headers}, arguments)
        if ships and self._secret.get("verify_ssl") is not None:
            raise _not_sendable("a client with an SSLContext as verify_ssl=")
        self._call, self._timeout = call, timeout
        self._ships = ships
        self._numbers = itertools.count()
        self._home = _Home(self._secret)
        self._token = secrets.token_hex(16)
        _homes[self._token] = self._home

    def _sort_out(
        self, key: str | None, headers: dict[str, str], arguments: Mapping[str, Any]
    ) -> None:
        """Tell the settings that are secret, or are no plain data, from the others."""
        if key is None:
            self._public["api_key"] = ""
        else:
            self._secret["api_key"] = conceal(key)
        hidden = confidential(headers)
        self._public["headers"] = {k: v for k, v in headers.items() if k not in hidden}
        if hidden:
            self._secret["headers"] = conceal(headers)
            self._missing += [f"the header {name}" for name in sorted(hidden)]
        proxy, verify = arguments["proxy"], arguments["verify_ssl"]
        self._public["proxy"], self._public["verify_ssl"] = proxy, verify
        if proxy is not None and "@" in proxy:
            self._secret["proxy"] = self._public.pop("proxy")
            self._missing.append("the proxy's password")
        if not isinstance(verify, (bool, str, os.PathLike)):
            self._secret["verify_ssl"] = self._public.pop("verify_ssl")
            self._missing.append("the SSLContext of verify_ssl=")

    @property
    def most_rows(self) -> int:
        """Rows of one task, at most: a worker has a connection for each."""
        return int(self._public["connection_pool_size"])

    def arguments(self, rows: list[tuple[bytes, str]]) -> tuple[Any, ...]:
        """Return the arguments of `attempts` for some inputs and their idempotency keys."""
        call = (self._call.entrypoint, self._call.user_id, self._call.persistent_memory)
        shipped = self._secret if self._ships else None
        # An engine may know calls by their arguments, and would not run the same call again.
        number = next(self._numbers)
        place = (self._token, number, self._missing)
        return (__version__, place, self._public, shipped, call, self._timeout, rows)

    def give_up(self) -> None:
        """End the attempts under way in threads of this process."""
        self._home.group.end()
        self._home.group = IOGroup()


class _Home:
    """The secrets of a batch in the process that runs it, and the attempts in its threads."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.pid = os.getpid()
        self.settings = settings
        self.group: IOGroup[BlockingIO] = IOGroup()


_homes: WeakValueDictionary[str, _Home] = WeakValueDictionary()
_lock = ForkSafeLock()
_pumps: OrderedDict[tuple[Any, ...], tuple[SyncPump, str | None]] = OrderedDict()


def attempts(
    version: str,
    place: tuple[str, int, list[str]],
    settings: dict[str, Any],
    shipped: dict[str, Any] | None,
    call: tuple[str | None, str | None, bool],
    timeout: float,
    rows: list[tuple[bytes, str]],
) -> Reply:
    """Make one attempt for each row in a worker, all of them at the same time.

    It raises nothing, so that each failure comes back named. One row's failure does not matter to
    the others.
    """
    name, began = worker_name(), time.monotonic()
    settings = conceal(settings)
    outcomes: list[Outcome] = [(0.0, None, None)] * len(rows)
    waiting = deque(enumerate(rows))

    def work() -> None:
        with contextlib.suppress(IndexError):  # no row is left
            while True:
                index, (content, key) = waiting.popleft()
                started = time.monotonic()
                made: Attempt | None = None
                problem: RunAgentError | None = None
                try:
                    if version != __version__:
                        raise _other_version(version)
                    made = _attempt(place, settings, shipped, (content, *call), timeout, key)
                except Exception as exc:  # noqa: BLE001 - see above
                    problem = _named(exc, name)
                outcomes[index] = time.monotonic() - started, made, problem

    threads = []
    with contextlib.suppress(RuntimeError):  # no more threads: those that there are do it all
        for _ in rows[1:]:
            thread = threading.Thread(target=work, name="runagent-row", daemon=True)
            thread.start()
            threads.append(thread)
    work()
    for thread in threads:
        thread.join()
    return name, time.monotonic() - began, outcomes


def _attempt(
    place: tuple[str, int, list[str]],
    settings: dict[str, Any],
    shipped: dict[str, Any] | None,
    call: tuple[bytes, str | None, str | None, bool],
    timeout: float,
    key: str,
) -> Attempt:
    token, _, missing = place
    home = _homes.get(token)
    if home is not None and home.pid != os.getpid():
        home = None  # a copy in a forked process, which is a worker as any other
    known = shipped if home is None else home.settings
    if known is None and missing:
        raise _withheld(missing)
    ident, pump, source = _pump({**settings, **(known or {})})
    content, entrypoint, user_id, remembers = call
    data = Input(content, entrypoint, user_id=user_id, persistent_memory=remembers)
    made = pump.attempt(data, timeout, {}, key, None if home is None else home.group)
    error = made.error
    if error is not None and error.status_code == 401 and known is None:  # noqa: PLR2004
        _pumps.pop(ident, None)  # the worker may get another key
        error.hint = _about_key(source)
        raise error
    return _small(made)


def _named(exc: Exception, name: str) -> RunAgentError:
    """Return the error of a worker with the worker's name in its message."""
    problem = exc if isinstance(exc, RunAgentError) else RunAgentError(_described(exc))
    problem.message = f"Worker {name}: {problem.message}"
    problem.args = (problem.message,)
    return problem


def _pump(settings: dict[str, Any]) -> tuple[tuple[Any, ...], SyncPump, str | None]:
    """Return the pump of this process for these settings, and where its API key was set."""
    ident = (
        *(value for name, value in sorted(settings.items()) if name != "headers"),
        *sorted(settings["headers"].items()),
        os.environ.get("RUNAGENT_API_KEY"),
    )
    with _lock:
        known = _pumps.pop(ident, None)
        if known is None:
            known = _connected(settings)
        _pumps[ident] = known
        # Others may be at work with the oldest one, which closes once nobody has it any more.
        while len(_pumps) > MOST_PUMPS:
            _pumps.popitem(last=False)
    return ident, *known


def _connected(settings: dict[str, Any]) -> tuple[SyncPump, str | None]:
    names = ("agent_id", "api_key", "base_url", "headers", "protocol")
    given: dict[str, Any] = {name: settings.get(name) for name in names}
    resolved = config.resolve(**given, allow_http=settings["allow_http"] or None)
    source = resolved.api_key_source if resolved.api_key else None
    return SyncPump(resolved, {**settings, "http_client": None}), source


def _small(made: Attempt) -> Attempt:
    """Return an attempt with no more than the driver needs."""
    result, error = made.result, made.error
    if result is not None:
        result = dataclasses.replace(result, raw=None, metadata={})
    if error is not None and len(str(error.details)) > LONGEST_DETAILS:
        error.details = None
    headers = {name: value for name, value in made.headers.items() if "limit" in name}
    return dataclasses.replace(made, result=result, headers=headers)


def worker_name() -> str:
    """Return the name of this process in messages."""
    return f"{socket.gethostname()}, process {os.getpid()}"


def _not_sendable(what: str) -> ValidationError:
    return ValidationError(
        f"{what[0].upper()}{what[1:]} cannot be sent to workers.",
        code="INVALID_SETTING",
        hint="Make the client from settings that are text, or leave out executor=.",
    )


def _other_version(version: str) -> RunAgentError:
    return RunAgentError(
        f"It has runagent {__version__}, and this batch is run by runagent {version}.",
        code="WORKER_VERSION",
        hint=f"Install the same version there: pip install runagent=={version}",
    )


def _withheld(missing: list[str]) -> AuthenticationError:
    return AuthenticationError(
        f"It does not have {', '.join(missing)}; secrets are not sent to workers by themselves.",
        code="MISSING_CREDENTIALS",
        hint='Pass credentials="ship" to send them, or leave them out.',
    )


def _about_key(source: str | None) -> str:
    found = "It found no API key" if source is None else f"Its API key is from {source}"
    return (
        f"{found}. Set RUNAGENT_API_KEY where the workers run, or pass "
        'credentials="ship" to send yours.'
    )


def _described(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"
