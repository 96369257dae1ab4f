"""One call, from its input to its answer: what is decided the same way for both clients.

The sessions do the I/O; between two pieces of it they ask a `Call` what follows.
"""

from __future__ import annotations

import builtins
import functools
import logging
import math
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2

from runagent import errors
from runagent.config import Settings
from runagent.results import Entrypoint, RunResult
from runagent.retry import RETRYABLE_STATUS, RetryPolicy
from runagent.transport import Interruptible
from runagent.version import USER_AGENT
from runagent.wire import Input, Outgoing, Wire
from runagent.wire.server import ServerWire, entrypoints

E = TypeVar("E", bound=BaseException)

logger = logging.getLogger("runagent")

CONNECT_TIMEOUT = 10.0
"""Seconds one attempt may take to connect, so that a lost packet does not use up the call."""

MAX_ERROR_BODY = 1 << 20
"""Bytes read of the body of an answer that is an error."""

_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"

_UNTRUSTED_HINT = (
    "This machine does not trust the server's certificate. If it was issued by your organisation, "
    "pass verify_ssl= the path of its CA bundle."
)

_PROXY_HINT = (
    "The proxy is that of proxy=, or of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY in the environment; a "
    "user name and password for it are part of its URL."
)

_REDACTED = "[api key]"

_LONG_KEY = 8
"""Characters from which on a key is part of no ordinary word."""

_LOST = (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)


class Call(Interruptible):
    """The state of one call over all its attempts.

    Attributes:
        timeout: Seconds, `math.inf` for no limit: for the whole call, or of a stream's silence.
        streams: Whether the answer is a stream.
        attempts: Requests sent so far.
    """

    def __init__(
        self,
        settings: Settings,
        wire: Wire,
        data: Input,
        *,
        streams: bool,
        timeout: float,
        headers: Mapping[str, str],
    ) -> None:
        """Prepare the request; `start` begins the call."""
        super().__init__()
        self.timeout = timeout
        self.streams = streams
        self.wire = wire
        self.data = data
        self.attempts = 0
        self._settings = settings
        self._headers = headers
        self._outgoing: Outgoing = wire.stream(data) if streams else wire.invoke(data)
        self._idempotency_key = secrets.token_hex(16)
        self._policy = RetryPolicy(
            settings.max_retries, settings.retry_delay, settings.retry_backoff
        )
        self._started = self._sent = 0.0
        self._answered = False
        self._received: dict[str, str] = {}

    def switch(self, wire: Wire) -> None:
        """Go on over another wire: what was sent over the first one did not reach the agent."""
        self.attempts = 0
        self.wire = wire
        self._outgoing = wire.stream(self.data) if self.streams else wire.invoke(self.data)

    def look(self, wire: ServerWire) -> None:
        """Ask for the agent's entrypoints instead of running it."""
        self.wire = wire
        self._outgoing = wire.architecture()

    def entrypoints(self, response: httpx2.Response, body: bytes) -> list[Entrypoint]:
        """Read the answer to `look`.

        Raises:
            RunAgentError: It is none.
        """
        try:
            return entrypoints(body)
        except ValueError as exc:
            raise errors.RunAgentError(
                f"The server's answer cannot be read: {exc}.",
                code="INVALID_RESPONSE",
                status_code=response.status_code,
            ) from None

    @property
    def silence(self) -> float | None:
        """Seconds a stream may be silent, `None` for no limit."""
        return None if math.isinf(self.timeout) else self.timeout

    def start(self) -> None:
        """Begin: the time runs from here."""
        self._started = time.monotonic()

    @property
    def remaining(self) -> float:
        """Seconds left until the call must be answered; never quite zero."""
        return max(self._started + self.timeout - time.monotonic(), 0.001)

    def request(self, http: httpx2.Client | httpx2.AsyncClient) -> httpx2.Request:
        """Return the next attempt's request."""
        self.attempts += 1
        self._sent = time.monotonic()
        self.connected = self.connecting = self._answered = False
        left = None if math.isinf(self.timeout) else self.remaining
        read = self.silence if self.streams else left
        if isinstance(http, httpx2.AsyncClient) and not self.streams:
            read = None  # what ends the whole call ends each read too, and at no cost
        return self._build(http, self._outgoing, read, left)

    def side_request(
        self, http: httpx2.Client | httpx2.AsyncClient, outgoing: Outgoing
    ) -> httpx2.Request:
        """Return a request that only asks the server about itself."""
        left = None if math.isinf(self.timeout) else self.remaining
        return self._build(http, outgoing, left, left)

    def _build(
        self,
        http: httpx2.Client | httpx2.AsyncClient,
        outgoing: Outgoing,
        read: float | None,
        left: float | None,
    ) -> httpx2.Request:
        timeouts = {
            "connect": CONNECT_TIMEOUT if left is None else min(CONNECT_TIMEOUT, left),
            "read": read,
            "write": read,
            # Before the call's own end, so that the error says what was waited for.
            "pool": None if left is None else 0.95 * left,
        }
        # What `http.build_request` does, for a third of the time it takes.
        request = httpx2.Request(
            outgoing.method,
            _parsed(outgoing.url),
            params=http.params or None,
            headers=self._all_headers(http, outgoing),
            cookies=http.cookies,
            content=outgoing.content,
            extensions={"timeout": timeouts},
        )
        if outgoing.key_in_query and self._settings.api_key is not None:
            # Only in what is sent: the URL is what is logged.
            query = b"?token=" + quote(self._settings.api_key, safe="").encode()
            request.extensions["target"] = request.url.raw_path + query
        return request

    def _all_headers(
        self, http: httpx2.Client | httpx2.AsyncClient, outgoing: Outgoing
    ) -> list[tuple[bytes, bytes]]:
        """Return the headers, of which later ones take the place of those of the same name."""
        key = self._settings.api_key
        headers = {name.lower(): (name, value) for name, value in http.headers.raw}
        for some in (
            {"User-Agent": USER_AGENT},
            outgoing.headers,
            {"Idempotency-Key": self._idempotency_key},
            {} if key is None else {"Authorization": f"Bearer {key}"},
            self._settings.headers,
            self._headers,
        ):
            for name, value in some.items():
                encoded = name.encode()
                headers[encoded.lower()] = encoded, value.encode()
        return list(headers.values())

    def answered(self, response: httpx2.Response) -> bool:
        """Take note of an answer's status and headers; return whether it is a good one."""
        self._answered = True
        # With names in lower case, and quick to look up.
        self._received = dict(response.headers.items())
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s %s: %d in %.3f s (attempt %d, request %s)",
                self._outgoing.method,
                self._outgoing.url,
                response.status_code,
                time.monotonic() - self._sent,
                self.attempts,
                _without(self._received.get("x-request-id", "unknown"), self._settings.api_key),
            )
        return self.wire.accepts(
            self._outgoing, response.status_code, self._received, streams=self.streams
        )

    def result(self, response: httpx2.Response, body: bytes) -> RunResult:
        """Read a good answer to `run_generic`.

        Raises:
            RunAgentError: It is not an answer after all.
        """
        result = self.wire.answer(response.status_code, self._received, body)
        # It is new, and not yet anybody's: a copy of it would cost more than reading it.
        object.__setattr__(result, "attempts", self.attempts)
        object.__setattr__(result, "elapsed", time.monotonic() - self._started)
        return result

    def refusal(self, response: httpx2.Response, body: bytes) -> errors.RunAgentError:
        """Return the exception for an answer that is not a good one."""
        status, headers = response.status_code, self._received
        if 300 <= status < 400:  # noqa: PLR2004
            return errors.RunAgentError(
                f"{self._outgoing.url} answered with a redirect to {headers.get('location')!r}.",
                code="REDIRECTED",
                status_code=status,
                hint="Redirects are not followed: they could carry the key and the input to "
                "another server. If it is the right one, set base_url to it.",
            )
        error = self.wire.error(status, headers, body)
        if status == httpx2.codes.PROXY_AUTHENTICATION_REQUIRED:
            error.hint = _PROXY_HINT
        elif isinstance(error, errors.AuthenticationError) and self._settings.api_key is not None:
            error.hint = f"{error.hint} The key comes from {self._settings.api_key_source}."
        return error

    def next_delay(self, failure: Exception) -> float:
        """Return the seconds to wait before the next attempt.

        Raises:
            RunAgentError: There is none: the attempt that failed was the last.
        """
        error = self.error(failure)
        delay = None
        if self._is_retryable(failure, error):
            delay = self._policy.next_delay(error, self.attempts, self.remaining)
        if delay is None:
            raise error
        logger.info(
            "%s %s: trying again in %.2f s after attempt %d: %s",
            self._outgoing.method,
            self._outgoing.url,
            delay,
            self.attempts,
            error,
        )
        return delay

    def _is_retryable(self, failure: Exception, error: errors.RunAgentError) -> bool:
        if self.interrupted:
            return False
        if isinstance(failure, errors.RunAgentError):
            # An agent that ran and raised would do so again.
            return error.status_code in RETRYABLE_STATUS and error.code != "AGENT_ERROR"
        if isinstance(failure, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
            return _UNTRUSTED not in str(failure)
        # A connection kept from an earlier call that had died meanwhile: nobody read the request.
        return isinstance(failure, _LOST) and not self.connected and not self._answered

    def error(self, failure: Exception) -> errors.RunAgentError:
        """Return what to raise for a failure, fit to be shown to anybody.

        The cause is a copy of the exception of the layers below, without the request it belongs to
        and without its traceback, whose frames hold the request's headers.
        """
        key = self._settings.api_key
        if isinstance(failure, errors.RunAgentError):
            error = bare(failure)
        else:
            error = self._from_transport(failure)
            error.__cause__ = type(failure)(_without(str(failure), key))
        error.attempts = self.attempts or None
        for name, value in vars(error).items():  # the server may have echoed the key
            setattr(error, name, _without(value, key))
        error.args = (error.message,)
        return error

    def cut_off(self) -> errors.StreamError:
        """Return the exception for a stream whose end was not announced."""
        return errors.StreamError(
            "The stream was cut off: the connection closed before the end was announced.",
            code="STREAM_CUT_OFF",
        )

    def _from_transport(self, failure: Exception) -> errors.RunAgentError:
        base_url = self._settings.base_url
        source = f"The base URL comes from {self._settings.base_url_source}."
        reason = _reason(failure)
        if isinstance(failure, httpx2.PoolTimeout):
            return errors.TimeoutError(
                f"No connection became free within {self.timeout:g} s.",
                code="TIMEOUT",
                hint="Make fewer calls at once, or pass a larger connection_pool_size=.",
            )
        late = isinstance(failure, (httpx2.TimeoutException, builtins.TimeoutError))
        if isinstance(failure, httpx2.ConnectTimeout) or (late and self.connecting):
            return errors.TimeoutError(
                f"Could not connect to {base_url} in time.", code="TIMEOUT", hint=source
            )
        if late:
            what = "Nothing came" if self.streams else "No complete answer came"
            return errors.TimeoutError(
                f"{what} from {base_url} within {self.timeout:g} s.",
                code="TIMEOUT",
                hint="Pass a larger timeout= (in seconds) if the agent needs longer.",
            )
        if isinstance(failure, httpx2.ProxyError):
            return errors.NetworkError(
                f"Could not connect to {base_url} through the proxy{reason}.",
                code="CONNECTION_FAILED",
                hint=_PROXY_HINT,
            )
        if isinstance(failure, httpx2.ConnectError):
            return errors.NetworkError(
                f"Could not connect to {base_url}{reason}.",
                code="CONNECTION_FAILED",
                hint=_UNTRUSTED_HINT
                if _UNTRUSTED in reason
                else f"Is the server running? {source}",
            )
        if isinstance(failure, httpx2.DecodingError):
            return errors.RunAgentError(
                f"The answer from {base_url} cannot be decompressed{reason}.",
                code="INVALID_RESPONSE",
            )
        lost = errors.StreamError if self.streams and self._answered else errors.NetworkError
        return lost(f"The connection to {base_url} was lost{reason}.", code="CONNECTION_LOST")


@functools.lru_cache(maxsize=256)
def _parsed(url: str) -> httpx2.URL:
    return httpx2.URL(url)


def bare(failure: E) -> E:
    """Strip an exception of everything that leads to frames of the layers below."""
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)


def _reason(failure: BaseException) -> str:
    """Return what an exception says, or else its cause, after a colon; nothing if neither does."""
    current: BaseException | None = failure
    while current is not None and not str(current):  # those of anyio, for one, say nothing
        current = current.__cause__ or current.__context__
    return "" if current is None else f": {str(current).rstrip('.')}"


def _without(value: Any, secret: str | None) -> Any:
    if not secret:
        return value
    if isinstance(value, str):
        return _occurrence(secret).sub(_REDACTED, value)
    if isinstance(value, dict):
        return {_without(key, secret): _without(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, secret) for item in value]
    return value


def _occurrence(secret: str) -> re.Pattern[str]:
    """Return a pattern of a key as it is, or quoted: a page may show a request's URL."""
    pattern = f"(?:{re.escape(quote(secret, safe=''))}|{re.escape(secret)})"
    if len(secret) < _LONG_KEY:
        # "k" or "test", as in development: it is also part of words, where it tells nothing, while
        # who repeats a key has it stand alone, as after "Bearer " or "token%3D".
        pattern = rf"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{{2}})){pattern}(?![^\W_])"
    # What was put in its place is left alone: an error may come by here twice.
    return re.compile(f"{re.escape(_REDACTED)}|{pattern}")
