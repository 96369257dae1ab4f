"""Google Colab: the API key that the user keeps among the secrets there."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from runagent import AsyncRunAgentClient, AuthenticationError, RunAgentClient
from runagent.secrecy import SourcedSecret

C = TypeVar("C", RunAgentClient, AsyncRunAgentClient)

_NAME = "RUNAGENT_API_KEY"

_PATIENCE = 11.0
"""Seconds. Colab itself waits ten for its page."""


class _ColabKey(SourcedSecret):
    source = f"{_NAME} among Colab's secrets"


_BEFORE_COLAB = {None, _NAME, "the agents served by this process"}
"""Sources of a key that count more than Colab's secrets; `None` where no key is needed."""


class _Secrets:
    """The secret of that name, as Colab's page told it last."""

    def __init__(self) -> None:
        self._key: _ColabKey | None = None
        self._is_silent = False

    def key(self) -> _ColabKey | None:
        """Return the key; `None` outside of Colab, or if there is none for this notebook.

        A page that once did not answer, because it was closed, for example, is not asked again:
        that would take ten seconds each time.
        """
        if self._is_silent:
            return self._key
        try:
            from google.colab import userdata  # type: ignore[import-not-found]  # noqa: PLC0415
        except Exception:  # noqa: BLE001 - a package that cannot be imported has no key
            return None
        answer = _answer_of(userdata.get)
        timeouts = getattr(userdata, "TimeoutException", ())
        if answer is None or (timeouts and isinstance(answer, timeouts)):
            self._is_silent = True
        elif isinstance(answer, _ColabKey):
            self._key = answer
        else:
            self._key = None
        return self._key

    def forget(self) -> None:
        """Forget the key, and ask the page again."""
        self._key = None
        self._is_silent = False


_secrets = _Secrets()
forget_secret = _secrets.forget


def how_to_set_a_key() -> str:
    """Say in words how the user sets a key that is not entered in the notebook."""
    if "google.colab" in sys.modules:
        return f"add {_NAME} to Colab's secrets and give this notebook access to it"
    return f"set {_NAME}"


def client_with_secret(make: Callable[[str | None], C]) -> C:
    """Make a client, with Colab's key if no key is set elsewhere but in the configuration file.

    Args:
        make: Makes the client with a key, or with `None`.

    Raises:
        AuthenticationError: The server wants a key, and there is none.
        ValidationError: The client refuses its settings.
    """
    missing: AuthenticationError | None = None
    try:
        client = make(None)
        if client.api_key_source in _BEFORE_COLAB:
            return client
    except AuthenticationError as error:
        if error.code != "MISSING_API_KEY":
            raise
        missing = error
    key = _secrets.key()
    if key:
        return make(key)
    if missing is not None:
        raise missing
    return client


def _answer_of(get: Callable[[str], Any]) -> _ColabKey | BaseException | str | None:
    """Return the key, the error, or `None` if no answer comes in time."""
    answers: list[_ColabKey | BaseException | str] = []

    def ask() -> None:
        try:
            value = get(_NAME)
            is_key = isinstance(value, str) and value.strip()
            answers.append(_ColabKey(value) if is_key else "no key")
        except BaseException as error:  # noqa: BLE001 - it is the answer
            answers.append(error)

    # Colab waits for its page by sleeping; in a thread of its own, nothing can make it longer.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(ask,), name="colab-secret", daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return answers[0] if answers else None
