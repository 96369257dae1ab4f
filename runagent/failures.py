"""Failures of the layers below, and refusals of servers, as errors of this package."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import httpx2

from runagent import config, encodings, errors
from runagent.config import Settings
from runagent.redaction import Redactor
from runagent.wire import Outgoing, Wire

E = TypeVar("E", bound=BaseException)

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError)
"""The exceptions by which the layers below fail; any other is a bug, or the user's own."""

_BENEATH = frozenset(sys.stdlib_module_names) | {
    *("runagent", "httpx2", "httpcore2", "h11", "h2", "hpack", "hyperframe", "wsproto"),
    *("anyio", "sniffio", "idna", "certifi", "truststore", "socksio", "brotli", "brotlicffi"),
    *("backports", "exceptiongroup", "typing_extensions", "uvloop"),
}
"""The packages whose code runs inside a call, besides the user's."""

_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"

_UNTRUSTED_HINT = (
    "This machine does not trust the server's certificate. If it was issued by your organisation, "
    "pass verify_ssl= the path of its CA bundle."
)

_PROXY_HINT = (
    "The proxy comes from proxy=, or from HTTPS_PROXY, HTTP_PROXY or ALL_PROXY in the environment; "
    "a user name and password for it are part of its URL."
)

_NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)

_LOST = (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)


@dataclass
class Failure:
    """A request that ended without a response, or a response that broke off.

    Attributes:
        exception: The exception of the layers below.
        connected: Whether a connection was made for the request, or was to be.
        connecting: Whether it was never finished.
        interrupted: Whether this client ended it.
    """

    exception: Exception = field(repr=False)
    connected: bool = True
    connecting: bool = False
    interrupted: bool = False

    def is_undelivered(self) -> bool:
        """Whether nobody read the request, and the same one may be delivered in a moment."""
        if isinstance(self.exception, _NOT_CONNECTED):
            return _UNTRUSTED not in str(self.exception)
        # A connection kept from an earlier call, which had died meanwhile.
        return isinstance(self.exception, _LOST) and not self.connected

    def is_unsent(self) -> bool:
        """Whether there was no connection to send the request over."""
        return isinstance(self.exception, httpx2.PoolTimeout)


def is_unexpected(exception: BaseException) -> bool:
    """Whether an exception is a fault of this package or of those it builds on.

    Code of the user may run inside a call, such as a signal handler or the hooks of an
    `http_client`. Exceptions that it raises, or that it defines, are not unexpected. Neither is
    a lack of memory.
    """
    if isinstance(exception, (errors.RunAgentError, MemoryError)):
        return False
    names = {type(exception).__module__}
    traceback = exception.__traceback__
    while traceback is not None:
        names.add(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next
    return all(name.partition(".")[0] in _BENEATH for name in names)


def unexpected(exception: BaseException, *, began: bool = False) -> errors.RunAgentError:
    """Return the error for an exception that nothing in this package foresees.

    Args:
        exception: The exception.
        began: Whether a stream has begun.
    """
    kind = errors.StreamError if began else errors.RunAgentError
    error = kind(
        f"The call failed unexpectedly: {type(exception).__name__}{_reason(exception)}.",
        code="UNEXPECTED",
    )
    error.__cause__ = exception
    return error


def bare(exception: E) -> E:
    """Strip an exception of everything that leads to frames of the layers below."""
    exception.__cause__ = exception.__context__ = None
    return exception.with_traceback(None)


def presentable(error: errors.RunAgentError, redact: Redactor) -> errors.RunAgentError:
    """Return an error that may be shown to anybody.

    It has no traceback yet, and secrets are taken out, as the server may have echoed them. Its
    cause is a copy of the exception of the layers below, without the request it belongs to and
    without its traceback, whose frames hold the request's headers.
    """
    cause = error.__cause__
    bare(error)
    if isinstance(cause, Exception):
        text = redact(str(cause)[: errors.MAX_MESSAGE])
        try:
            error.__cause__ = type(cause)(text)
        except TypeError:  # it takes other arguments, as a UnicodeError does
            error.__cause__ = RuntimeError(f"{type(cause).__name__}: {text}")
    for name, value in zip(vars(error), redact(list(vars(error).values())), strict=True):
        setattr(error, name, value)
    error.args = (error.message,)
    return error


def from_failure(
    failure: Failure,
    settings: Settings,
    timeout: float,
    *,
    streams: bool,
    answered: bool,
    total_timeout: float | None = None,
) -> errors.RunAgentError:
    """Return the error for a failure of the layers below.

    Args:
        failure: The failure.
        settings: The settings of the client, which say where the base URL comes from.
        timeout: Seconds: the timeout of the call.
        streams: Whether the response is a stream.
        answered: Whether the response had begun.
        total_timeout: Seconds for the whole stream, if they are over; `None` otherwise.
    """
    exception = failure.exception
    began = streams and answered
    if not isinstance(exception, FAILURES):
        return unexpected(exception, began=began)
    error = _overdue(failure, settings, total_timeout)
    if error is None:
        error = _timed_out(failure, settings, timeout, streams=streams)
    if error is None:
        error = _not_connected(exception, settings)
    if error is None:
        error = _lost(exception, settings, began=began)
    error.__cause__ = exception
    return error


def _is_late(exception: Exception) -> bool:
    return isinstance(exception, (httpx2.TimeoutException, builtins.TimeoutError))


def _overdue(
    failure: Failure, settings: Settings, total_timeout: float | None
) -> errors.RunAgentError | None:
    if total_timeout is None or not _is_late(failure.exception):
        return None
    return errors.TimeoutError(
        f"The stream from {settings.base_url} did not end within {total_timeout:g} s.",
        code="TIMEOUT",
        hint="Pass a larger total_timeout= (in seconds) if the agent needs longer.",
    )


def _timed_out(
    failure: Failure, settings: Settings, timeout: float, *, streams: bool
) -> errors.RunAgentError | None:
    exception = failure.exception
    if isinstance(exception, httpx2.PoolTimeout):
        return errors.TimeoutError(
            f"No connection became free within {timeout:g} s.",
            code="TIMEOUT",
            hint="Make fewer calls at once, or pass a larger connection_pool_size=.",
        )
    late = _is_late(exception)
    if isinstance(exception, httpx2.ConnectTimeout) or (late and failure.connecting):
        return errors.TimeoutError(
            f"Could not connect to {settings.base_url} in time.",
            code="TIMEOUT",
            hint=_source_of_url(settings),
        )
    if late:
        missing = "Nothing came" if streams else "No complete answer came"
        return errors.TimeoutError(
            f"{missing} from {settings.base_url} within {timeout:g} s.",
            code="TIMEOUT",
            hint="Pass a larger timeout= (in seconds) if the agent needs longer.",
        )
    return None


def _not_connected(exception: Exception, settings: Settings) -> errors.RunAgentError | None:
    reason = _reason(exception)
    if isinstance(exception, httpx2.ProxyError):
        return errors.NetworkError(
            f"Could not connect to {settings.base_url} through the proxy{reason}.",
            code="CONNECTION_FAILED",
            hint=_PROXY_HINT,
        )
    if isinstance(exception, httpx2.ConnectError):
        return errors.NetworkError(
            f"Could not connect to {settings.base_url}{reason}.",
            code="CONNECTION_FAILED",
            hint=_UNTRUSTED_HINT
            if _UNTRUSTED in reason
            else f"Is the server running? {_source_of_url(settings)}",
        )
    return None


def _source_of_url(settings: Settings) -> str:
    if settings.base_url_source == config.DEFAULT:
        return "This is the default base URL; base_url= or RUNAGENT_API_URL names another server."
    return f"The base URL comes from {settings.base_url_source}."


def _lost(exception: Exception, settings: Settings, *, began: bool) -> errors.RunAgentError:
    reason = _reason(exception)
    if isinstance(exception, httpx2.DecodingError):
        return errors.RunAgentError(
            f"The response from {settings.base_url} cannot be decompressed{reason}.",
            code="INVALID_RESPONSE",
        )
    kind = errors.StreamError if began else errors.NetworkError
    return kind(f"The connection to {settings.base_url} was lost{reason}.", code="CONNECTION_LOST")


def _reason(exception: BaseException) -> str:
    """Return the text of an exception or of its cause, after a colon; nothing if there is no text.

    Some exceptions have no text of their own, those of anyio for one. That of an empty queue, which
    anyio finds when a connection ends, is no reason that a user understands.
    """
    current: BaseException | None = exception
    while current is not None and (not str(current) or isinstance(current, LookupError)):
        current = current.__cause__ or current.__context__
    return "" if current is None else f": {str(current).rstrip('.')}"


def from_refusal(
    wire: Wire,
    settings: Settings,
    sent: Outgoing,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
) -> errors.RunAgentError:
    """Return the error for a response that the wire does not accept."""
    if 300 <= status < 400:  # noqa: PLR2004
        return errors.RunAgentError(
            f"{sent.url} answered with a redirect to {headers.get('location')!r}.",
            code="REDIRECTED",
            status_code=status,
            hint="Redirects are not followed: they could carry the key and the input to "
            "another server. If it is the right one, set base_url to it.",
        )
    error = wire.error(status, headers, body)
    if status == httpx2.codes.PROXY_AUTHENTICATION_REQUIRED:
        error.hint = _PROXY_HINT
    elif isinstance(error, errors.AuthenticationError) and settings.api_key is not None:
        error.hint = f"{error.hint} The key comes from {settings.api_key_source}."
    return error


def own_client_closed() -> errors.RunAgentError:
    """Return the error for a call over an `http_client` that its owner has closed."""
    return errors.RunAgentError(
        "The http_client= that this client uses was closed.",
        code="CLIENT_CLOSED",
        hint="Close it after the last call, or make a new client with an open one.",
    )


def no_event_loop() -> errors.RunAgentError:
    """Return the error for an asynchronous call outside of asyncio."""
    return errors.RunAgentError(
        "AsyncRunAgentClient works on an event loop of asyncio, and none is running here.",
        code="NO_EVENT_LOOP",
        hint="Call it from asyncio. Under trio, run the methods of a RunAgentClient in threads, "
        "by trio.to_thread.run_sync.",
    )


def unreadable_encoding(
    error: errors.RunAgentError, headers: Mapping[str, str]
) -> errors.RunAgentError:
    """Return an error that names the encoding of a response, if that was the reason for it."""
    encoding = encodings.unreadable_encoding(headers)
    if encoding is None or error.code not in (None, "INVALID_RESPONSE", "STREAM_CUT_OFF"):
        return error
    error.message = f"The response's Content-Encoding {encoding[:50]!r} cannot be read."
    error.code = "INVALID_RESPONSE"
    error.hint = encodings.install_hint(encoding)
    return error


def client_closed(agent_id: str, *, streaming: bool = False) -> errors.RunAgentError:
    """Return the error for a call of a client that was closed."""
    kind = errors.StreamError if streaming else errors.RunAgentError
    return kind(
        f"This client of {agent_id!r} was closed.",
        code="CLIENT_CLOSED",
        hint="Make a new one; a client is meant to be kept and reused.",
    )


def stream_cut_off() -> errors.StreamError:
    """Return the error for a stream whose end was not announced."""
    return errors.StreamError(
        "The stream was cut off: the connection closed before the end was announced.",
        code="STREAM_CUT_OFF",
    )


def nothing_but_noise(limit: int) -> errors.StreamError:
    """Return the error for a stream that sends and sends, and nothing for its user."""
    return errors.StreamError(
        f"The server sent {limit:,} bytes of comments, pings or empty events, and no chunk.",
        code="MESSAGE_TOO_LARGE",
        hint="Pass a larger max_message_size= if that is right.",
    )


def too_large(limit: int) -> errors.RunAgentError:
    """Return the error for a response of more bytes than allowed."""
    return errors.RunAgentError(
        f"The answer is larger than {limit:,} bytes.",
        code="MESSAGE_TOO_LARGE",
        hint="Pass a larger max_message_size= if that is right.",
    )


def no_entrypoints(base_url: str) -> errors.ValidationError:
    """Return the error for a named entrypoint of a server whose agents have none."""
    return errors.ValidationError(
        f"The agents of {base_url} have no named entrypoints.",
        code="NO_ENTRYPOINTS",
        hint="Use run_generic or run_generic_stream: only the agents of `runagent serve` have "
        "named entrypoints.",
    )


def no_users(base_url: str) -> errors.ValidationError:
    """Return the error for a user named to a server whose protocol has no place for one."""
    return errors.ValidationError(
        f"{base_url} takes neither user_id= nor persistent_memory=.",
        code="NO_USERS",
        hint="Only servers of the protocol of `runagent serve` take them; elsewhere, put what the "
        "agent needs to know into its input.",
    )


def unreadable(status: int, problem: ValueError) -> errors.RunAgentError:
    """Return the error for a response about the agent or its server that cannot be read."""
    return errors.RunAgentError(
        f"The server's answer cannot be read: {problem}.",
        code="INVALID_RESPONSE",
        status_code=status,
    )
