"""The public clients, RunAgentClient and AsyncRunAgentClient."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from runagent import checks, defaults
from runagent.encode import to_json
from runagent.errors import ValidationError
from runagent.lazy import LazyModule
from runagent.results import Entrypoint, Health, RunResult, StreamEvent
from runagent.secrecy import conceal
from runagent.slips import AsyncClientSlips, BlockingClientSlips, check_not_awaited
from runagent.stream import AsyncStream, Stream
from runagent.wire import Input

if TYPE_CHECKING:
    import ssl

    import httpx2

    from runagent import config, many, progress, pumps, response_models, worker
else:  # tools that look at the annotations evaluate them
    httpx2, many, pumps, ssl = map(LazyModule, ("httpx2", "runagent.many", "runagent.pumps", "ssl"))
    config, progress = map(LazyModule, ("runagent.config", "runagent.progress"))
    response_models, worker = map(LazyModule, ("runagent.response_models", "runagent.worker"))

C = TypeVar("C", bound="_BaseClient")
T = TypeVar("T")

_SETTINGS = (
    "agent_id",
    "api_key",
    "base_url",
    "timeout",
    "max_retries",
    "retry_delay",
    "retry_backoff",
    "protocol",
    "headers",
    "allow_http",
    "total_timeout",
    "user_id",
    "persistent_memory",
)
"""The arguments of the constructor that are settings of calls."""

_CONFIDENTIAL = frozenset({"api_key", "headers", "proxy"})


_User = tuple["str | None", "bool | None"]
"""The arguments `user_id` and `persistent_memory` of a call, `None` for the client's."""


class _BaseClient:
    """The common part of both clients: their settings, and how they are copied and pickled."""

    _pump: pumps.SyncPump | pumps.AsyncPump

    def __init__(
        self,
        agent_id: str,
        api_key: str | None = None,
        base_url: str = defaults.BASE_URL,
        timeout: float | None = defaults.TIMEOUT,
        max_retries: int = defaults.MAX_RETRIES,
        headers: Mapping[str, str] | None = None,
        *,
        verify_ssl: bool | str | ssl.SSLContext = True,
        retry_delay: float = defaults.RETRY_DELAY,
        retry_backoff: float = defaults.RETRY_BACKOFF,
        connection_pool_size: int = defaults.POOL_SIZE,
        protocol: checks.ProtocolName = defaults.PROTOCOL,
        allow_http: bool | None = None,
        proxy: str | None = None,
        max_message_size: int = defaults.MAX_MESSAGE_SIZE,
        http_client: httpx2.Client | httpx2.AsyncClient | None = None,
        total_timeout: float | None = None,
        user_id: str | None = None,
        persistent_memory: bool = False,
    ) -> None:
        """Make a client for one agent. Nothing is sent yet.

        An argument that is not given is taken from the environment (`RUNAGENT_API_KEY`,
        `RUNAGENT_API_URL`, `RUNAGENT_TIMEOUT`, `RUNAGENT_PROTOCOL`), then from
        `~/.runagent/config.json`. An agent that this process serves itself (see `runagent.local`)
        is called there, unless `base_url` says otherwise.

        Args:
            agent_id: The id of the deployed agent.
            api_key: The API key; `""` for a server that asks for none.
            base_url: Base URL of the server, with or without a trailing `/` or `/v1`.
            timeout: Seconds `run_generic` may take in all, retries included; for a stream, the
                longest silence of the server. `float("inf")` means no limit.
            max_retries: How often a request that failed is sent again, where that is safe.
            headers: Sent with every request.
            verify_ssl: `False` to trust any certificate; a path to trust that CA bundle alone.
            retry_delay: Seconds before the first retry, at most: the wait is random below it.
            retry_backoff: Factor by which that grows from one retry to the next.
            connection_pool_size: Connections at the same time; further calls wait for one.
            protocol: `"rest"` for the cloud API, `"server"` for `runagent serve`, or `"auto"`.
            allow_http: Allow the key to travel unencrypted to another machine.
            proxy: URL of a proxy, instead of those in the environment.
            max_message_size: Bytes an answer, or one event of a stream, may have.
            http_client: Your own httpx2 client to send requests with; it is not closed.
            total_timeout: Seconds a whole stream may take; `None` for no limit.
            user_id: The user on whose behalf the agent runs. Only servers of the protocol of
                `runagent serve` take one; a call to any other raises a `ValidationError`.
            persistent_memory: Whether the agent may remember calls for that user; as `user_id`.

        Raises:
            ValidationError: An invalid argument or setting.
            AuthenticationError: No API key for a server on another machine.
        """
        api_key, headers, proxy = map(conceal, (api_key, headers, proxy))
        arguments = dict(locals())
        del arguments["self"]
        self._configure(arguments)

    def __init_subclass__(cls, **options: Any) -> None:
        """Give the public clients methods that have their names in messages, not this class's."""
        super().__init_subclass__(**options)
        if _BaseClient not in cls.__bases__:
            return
        for name, member in vars(_BaseClient).items():
            is_public = name == "__init__" or not name.startswith("_")
            if isinstance(member, FunctionType) and is_public:
                setattr(cls, name, _renamed(member, f"{cls.__name__}.{name}"))

    def _configure(self, arguments: dict[str, Any]) -> None:
        """Check and keep the arguments of the constructor."""
        self._arguments = arguments
        self._settings = config.resolve(**{name: arguments[name] for name in _SETTINGS})
        checks.check_count(arguments["connection_pool_size"], "connection_pool_size=")
        checks.check_count(arguments["max_message_size"], "max_message_size=")
        self._connect()

    def _connect(self) -> None:
        raise NotImplementedError

    @property
    def agent_id(self) -> str:
        """The id of the agent."""
        return self._settings.agent_id

    @property
    def base_url(self) -> str:
        """The base URL calls go to, without a trailing slash or `/v1`."""
        return self._settings.base_url

    @property
    def api_key_source(self) -> str | None:
        """Where the API key was set, such as `RUNAGENT_API_KEY`; `None` if none is sent."""
        return self._settings.api_key_source if self._settings.api_key else None

    @property
    def timeout(self) -> float:
        """Seconds a call may take if it does not say otherwise."""
        return self._settings.timeout

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._pump.closed

    def __repr__(self) -> str:
        settings = self.__dict__.get("_settings")  # a traceback may show a client half made
        facts = f"{settings.agent_id!r}, base_url={settings.base_url!r}" if settings else ""
        return f"{type(self).__name__}({facts})"

    def with_options(self: C, **options: Any) -> C:  # noqa: PYI019 - Python 3.10 has no Self
        """Return a client that differs in these arguments of the constructor.

        It shares this client's connections where the arguments allow it, which makes it cheap.
        It is made by the constructor, as an unpickled client is, with all arguments by name: a
        subclass whose constructor takes others has to define this method and `__reduce__` as well.

        Example:
            >>> client = RunAgentClient("demo")
            >>> client.with_options(timeout=5).timeout
            5.0
        """
        for name in _CONFIDENTIAL & options.keys():
            options[name] = conceal(options[name])
        client = type(self)(**{**self._arguments, **options})
        client._share(self)  # noqa: SLF001 - its own class
        return client

    def _share(self, other: _BaseClient) -> None:
        raise NotImplementedError

    def resolved_arguments(self) -> dict[str, Any]:
        """Return the arguments of the constructor that make this client anywhere.

        Those taken from the environment or the configuration file are among them, and so is the
        API key. A client of the other kind takes them as well, unless there is an `http_client`.

        Example:
            >>> client = RunAgentClient("demo", timeout=5)
            >>> AsyncRunAgentClient(**client.resolved_arguments()).timeout
            5.0
        """
        settings = self._settings
        return {
            **self._arguments,
            "api_key": settings.api_key or "",
            "base_url": settings.base_url,
            "timeout": settings.timeout,
            "max_retries": settings.max_retries,
            "retry_delay": settings.retry_delay,
            "retry_backoff": settings.retry_backoff,
            "protocol": settings.protocol,
            "allow_http": settings.allow_http,
            "total_timeout": settings.total_timeout,
            "user_id": settings.user_id,
            "persistent_memory": settings.persistent_memory,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        if self._arguments["http_client"] is not None:
            raise TypeError(f"A {type(self).__name__} with its own http_client cannot be pickled.")
        return (_unpickle, (type(self), self.resolved_arguments()))

    def _prepare(
        self,
        input_data: Any,
        timeout: float | None,
        headers: Mapping[str, str] | None,
        name: str = "input_data",
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        user: _User = (None, None),
    ) -> tuple[Input, float, Mapping[str, str]]:
        """Check the arguments of a call; return the arguments of a pump's methods."""
        self._pump.flow.check_open()
        if not isinstance(input_data, Mapping):
            raise ValidationError(
                f"{name} is of type {type(input_data).__name__}; an agent's input is a dictionary.",
                code="INVALID_INPUT",
                hint='Wrap it, for example as {"query": ...}.',
            )
        args = to_json(list(input_args), "input_args") if input_args else b"[]"
        user_id, remembers = user
        settings = self._settings
        user_id = settings.user_id if user_id is None else checks.check_user_id(user_id)
        if remembers is None:
            remembers = settings.persistent_memory
        else:
            remembers = checks.check_flag(remembers, "persistent_memory=")
        return (
            Input(to_json(input_data, name), entrypoint, args, user_id, remembers),
            settings.timeout if timeout is None else checks.check_timeout(timeout),
            checks.check_headers(headers, "headers"),
        )

    def _prepare_entrypoint(
        self,
        input_data: Any,
        timeout: float | None,
        headers: Mapping[str, str] | None,
        entrypoint: str | None,
        input_args: Sequence[Any],
        user: _User,
        *,
        streams: bool,
    ) -> tuple[Input, float, Mapping[str, str]]:
        tag = checks.check_entrypoint(entrypoint, streams=streams)
        if isinstance(input_args, (str, bytes, Mapping)) or not isinstance(input_args, Iterable):
            raise ValidationError(
                f"input_args is of type {type(input_args).__name__}; "
                "positional arguments are a list.",
                code="INVALID_INPUT",
            )
        if input_data is None:
            input_data = {}
        return self._prepare(input_data, timeout, headers, "input_data", tag, input_args, user)

    def _answer(self, result: RunResult, usual: Any, model: Any, headers: Mapping[str, str]) -> Any:
        """Return what a call returns: the answer as an instance of the model, if there is one."""
        if model is None:
            return usual
        try:
            return self._pump.flow.as_model(result.value, model, headers)
        except ValidationError as exc:
            exc.request_id, exc.attempts = result.request_id, result.attempts
            raise

    def _total(self, total_timeout: float | None) -> float:
        return checks.check_total_timeout(total_timeout, self._settings.total_timeout)

    def _plan_list(
        self,
        inputs: Iterable[Any],
        timeout: float | None,
        headers: Mapping[str, str] | None,
        max_concurrency: int,
        user: _User,
        *,
        ends_at_error: bool,
    ) -> tuple[many.Plan, int]:
        """Return the plan of a list of inputs, which are all checked, and their number."""
        checks.check_count(max_concurrency, "max_concurrency=")
        _check_inputs(inputs)
        self._pump.flow.check_open()
        checked = [
            self._prepare(value, timeout, headers, f"inputs[{index}]", user=user)[0].content
            for index, value in enumerate(inputs)
        ]
        plan = self._plan(
            ((index, data) for index, data in enumerate(checked)),
            timeout,
            headers,
            user,
            max_concurrency=max_concurrency,
            encode=lambda data, _: data,
            output=lambda result: result.result,
            ends_at_error=ends_at_error,
            reports=False,
        )
        return plan, len(checked)

    def _plan_map(
        self,
        inputs: Iterable[Any],
        kept: many.Keeping,
        sending: many.Sending,
        asking: many.Asking,
        response_model: Any,
        progress: bool | progress.ProgressDisplay | None,
    ) -> many.Plan:
        """Check the arguments of `map`, which these are; return the plan of its batch."""
        connections, concurrency = self._arguments["connection_pool_size"], sending.max_concurrency
        executor, batch_id = sending.executor, kept.batch_id
        ships = many.check_credentials(sending.credentials, executor)
        if concurrency is None:
            concurrency = connections
        checks.check_count(concurrency, "max_concurrency=")
        checks.check_count(sending.per_call, "per_call=")
        _check_inputs(inputs)
        _check_model(response_model)
        return self._plan(
            inputs,
            asking.timeout,
            asking.headers,
            (asking.user_id, asking.persistent_memory),
            model=response_model,
            max_concurrency=min(concurrency, connections) if executor is None else concurrency,
            entrypoint=checks.check_entrypoint(asking.entrypoint, streams=False),
            rate=many.check_rate(sending.rate),
            per_call=sending.per_call,
            journal=None if kept.journal is None else many.journal_path(kept.journal),
            fresh=kept.fresh,
            encode=lambda value, name: self._prepare(value, None, None, name)[0].content,
            executor=None if executor is None else many.check_executor(executor),
            ships=ships,
            batch_id=None if batch_id is None else checks.check_text(batch_id, "batch_id="),
            display=many.display_for(progress),
            reports=progress is None or isinstance(progress, bool),
        )

    def _plan(
        self,
        inputs: Iterable[Any],
        timeout: float | None,
        headers: Mapping[str, str] | None,
        user: _User,
        *,
        entrypoint: str | None = None,
        executor: many.Source | None = None,
        ships: bool = False,
        model: Any = None,
        **options: Any,
    ) -> many.Plan:
        sent, seconds, checked = self._prepare({}, timeout, headers, user=user)
        pump, settings = self._pump, self._settings
        belongs = {
            "agent": settings.agent_id,
            "server": "this process"
            if settings.base_url_source == config.EMBEDDED
            else settings.base_url,
            "entrypoint": entrypoint,
            "user_id": sent.user_id,
            "persistent_memory": sent.persistent_memory,
            "per_call": options.get("per_call", 1),
        }
        if options.get("batch_id") is not None:
            belongs["batch_id"] = options["batch_id"]

        def attempt(data: bytes, key: str, *group: Any) -> Any:
            input_ = dataclasses.replace(sent, content=data, entrypoint=entrypoint)
            return pump.attempt(input_, seconds, checked, key, *group)

        remote = None
        if executor is not None:
            data = dataclasses.replace(sent, entrypoint=entrypoint)
            tasks = worker.Tasks(settings, self._arguments, data, seconds, checked, ships=ships)
            remote = many.Remote(executor, worker.attempts, tasks, ships=ships)
        return many.Plan(
            inputs,
            attempt=attempt,
            closed=pump.flow.closed_error,
            policy=pump.flow.policy,
            belongs=belongs,
            remote=remote,
            read_answer=None
            if model is None
            else lambda answer: pump.flow.as_model(answer, model, checked),
            **options,
        )


def _check_inputs(inputs: Any) -> None:
    is_many = isinstance(inputs, Iterable) and not isinstance(inputs, (Mapping, str, bytes))
    if not is_many or hasattr(inputs, "columns"):
        raise many.not_inputs(inputs)


def _check_model(model: Any) -> None:
    if model is not None:
        response_models.check_model(model)


def _renamed(function: FunctionType, name: str) -> FunctionType:
    """Return a copy of a function that has another name in messages."""
    copied = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copied.__doc__ = function.__doc__
    copied.__module__ = function.__module__
    copied.__annotations__ = function.__annotations__
    copied.__kwdefaults__ = function.__kwdefaults__
    copied.__qualname__ = name
    return copied


def _unpickle(kind: type[_BaseClient], arguments: dict[str, Any]) -> _BaseClient:
    return kind(**arguments)


def _text(_kind: str, _value: Any, text: str | None) -> str | None:
    return text


class RunAgentClient(_BaseClient, BlockingClientSlips):
    """Calls one agent.

    >>> client = RunAgentClient("demo")  # built in, in place of "agent-123"
    >>> print(client.run({"query": "Hello"}))
    # Hello from the demo agent
    ...
    >>> for chunk in client.run_generic_stream({"query": "Tell a story"}):
    ...     print(chunk, end="")
    # Hello from the demo agent
    ...

    A client may be shared between threads, pickled, and used in a forked process. Keep it and
    reuse it: it keeps connections open. Close it with `close`, or use it in a `with` statement;
    one that is simply dropped cleans up by itself.
    """

    _pump: pumps.SyncPump

    def _connect(self) -> None:
        from runagent.pumps import SyncPump  # noqa: PLC0415 - loads httpx2

        self._pump = SyncPump(self._settings, self._arguments)

    def _share(self, other: _BaseClient) -> None:
        assert isinstance(other, RunAgentClient)
        self._pump.share(other._pump)  # noqa: SLF001 - its own class

    @overload
    def run_generic(
        self,
        input_data: Mapping[str, Any],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: None = None,
    ) -> dict[str, Any]: ...

    @overload
    def run_generic(
        self,
        input_data: Mapping[str, Any],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: type[T],
    ) -> T: ...

    def run_generic(
        self,
        input_data: Mapping[str, Any],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: type[T] | None = None,
    ) -> Any:
        """Run the agent and return its answer.

        Args:
            input_data: The input, an object of any JSON-like values; `runagent.encode.to_json`
                says how dataclasses, DataFrames and others are sent.
            timeout: Seconds the call may take in all, retries included; `None` for the client's.
            headers: Sent with this request, over the client's.
            user_id: The user on whose behalf the agent runs; `None` for the client's.
            persistent_memory: Whether the agent may remember the call for that user; `None` for
                the client's.
            response_model: A pydantic model, a dataclass, or a type made of them such as
                `list[Model]`, into which the answer is read: its object, or the one JSON block in
                its text.

        Returns:
            The agent's answer; one that is not an object comes as `{"result": answer}`. With
            `response_model`, the answer as an instance of it.

        Raises:
            ValidationError: An invalid input, here or to the server; or an answer that does not
                fit `response_model`, with the path to the part that does not.
            AuthenticationError: An API key that the server refuses.
            AgentNotFoundError: An agent that the server does not know.
            RateLimitError: Too many requests, and no retry within the timeout.
            TimeoutError: No answer in time.
            NetworkError: A server that could not be reached, or a lost connection.
            RunAgentError: Any other failure of the agent or the server, and a closed client.

        Example:
            >>> client = RunAgentClient("shout")  # an agent that answers in capitals
            >>> client.run_generic({"query": "Hello"})
            {'result': 'HELLO'}
        """
        check_not_awaited(self, "run_generic")
        headers = conceal(headers)
        _check_model(response_model)
        prepared = self._prepare(input_data, timeout, headers, user=(user_id, persistent_memory))
        result = self._pump.invoke(*prepared)
        return self._answer(result, result.result, response_model, prepared[-1])

    def run_generic_with_metadata(
        self,
        input_data: Mapping[str, Any],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
    ) -> RunResult:
        """Run the agent and return its answer with everything that is known about it.

        Arguments and exceptions are those of `run_generic`.

        Returns:
            The answer, token usage, execution time, agent version, request id, attempts, status
            and rate limits.

        Example:
            >>> client = RunAgentClient("shout")  # an agent that answers in capitals
            >>> result = client.run_generic_with_metadata({"query": "Hello"})
            >>> result.value, result.attempts
            ('HELLO', 1)
        """
        check_not_awaited(self, "run_generic_with_metadata")
        headers = conceal(headers)
        prepared = self._prepare(input_data, timeout, headers, user=(user_id, persistent_memory))
        return self._pump.invoke(*prepared)

    def run_generic_stream(
        self,
        input_data: Mapping[str, Any],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        total_timeout: float | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
    ) -> Stream[str]:
        """Stream the agent's answer.

        The input is checked at once; the request is sent when the first chunk is asked for.

        Args:
            input_data: The input, as for `run_generic`.
            timeout: Seconds the server may be silent; `None` for the client's.
            headers: Sent with this request, over the client's.
            total_timeout: Seconds the whole stream may take; `None` for the client's.
            user_id: The user on whose behalf the agent runs; `None` for the client's.
            persistent_memory: Whether the agent may remember the call for that user; `None` for
                the client's.

        Returns:
            An iterator over the chunks of text, which is a context manager too. A chunk that is
            not a string comes as the string under its `content`, `delta` or `text`, or else as
            JSON; `stream_events` yields chunks unchanged.

        Raises:
            StreamError: While iterating: a stream that broke off, or in which the agent failed.
            RunAgentError: As for `run_generic`; errors of the server while iterating.

        Example:
            >>> client = RunAgentClient("shout")  # an agent that answers in capitals
            >>> with client.run_generic_stream({"query": "Hello you"}) as stream:
            ...     [chunk for chunk in stream]
            ['HELLO ', 'YOU ']
        """
        check_not_awaited(self, "run_generic_stream")
        headers = conceal(headers)
        prepared = self._prepare(input_data, timeout, headers, user=(user_id, persistent_memory))
        return self._pump.stream(*prepared, _text, self._total(total_timeout))

    def stream_events(
        self,
        input_data: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        total_timeout: float | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
    ) -> Stream[StreamEvent]:
        """Stream the agent's answer as events, with the raw values the agent sent.

        Arguments and exceptions are those of `run_stream`.

        Returns:
            An iterator over all events of the stream, also over those of unknown kinds. It is a
            context manager too.

        Example:
            >>> client = RunAgentClient("shout")  # an agent that answers in capitals
            >>> [event.kind for event in client.stream_events({"query": "Hello you"})]
            ['start', 'chunk', 'chunk', 'done']
        """
        check_not_awaited(self, "stream_events")
        headers = conceal(headers)
        prepared = self._prepare_entrypoint(
            input_data,
            timeout,
            headers,
            entrypoint,
            input_args,
            (user_id, persistent_memory),
            streams=True,
        )
        return self._pump.stream(*prepared, StreamEvent, self._total(total_timeout))

    @overload
    def batch_run(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        max_concurrency: int = ...,
        return_exceptions: Literal[False] = ...,
        on_progress: Callable[[int, int], object] | None = ...,
        timeout: float | None = ...,
        headers: Mapping[str, str] | None = ...,
        user_id: str | None = ...,
        persistent_memory: bool | None = ...,
    ) -> list[dict[str, Any]]: ...

    @overload
    def batch_run(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        max_concurrency: int = ...,
        return_exceptions: bool,
        on_progress: Callable[[int, int], object] | None = ...,
        timeout: float | None = ...,
        headers: Mapping[str, str] | None = ...,
        user_id: str | None = ...,
        persistent_memory: bool | None = ...,
    ) -> list[dict[str, Any] | Exception]: ...

    def batch_run(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        max_concurrency: int = defaults.CONCURRENCY,
        return_exceptions: bool = False,
        on_progress: Callable[[int, int], object] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
    ) -> Any:
        """Run the agent on many inputs, several at a time.

        All inputs are checked before the first one is sent.

        Args:
            inputs: The inputs, each as for `run_generic`.
            max_concurrency: Calls at the same time, each in a thread.
            return_exceptions: Put the exception of a call in the place of its answer, instead of
                raising the first one and ending the calls under way.
            on_progress: Called in this thread after each call with the number of finished calls
                and the number of all: `lambda done, total: print(done, "of", total)`.
            timeout: Seconds each call may take in all; `None` for the client's.
            headers: Sent with each request, over the client's.
            user_id: The user on whose behalf the agent runs; `None` for the client's.
            persistent_memory: Whether the agent may remember the call for that user; `None` for
                the client's.

        Returns:
            The answers, in the order of the inputs.

        Raises:
            RunAgentError: As for `run_generic`.

        Example:
            >>> client = RunAgentClient("shout")  # an agent that answers in capitals
            >>> client.batch_run([{"query": "Hello"}, {"query": "Goodbye"}])
            [{'result': 'HELLO'}, {'result': 'GOODBYE'}]
        """
        check_not_awaited(self, "batch_run")
        headers = conceal(headers)
        plan, count = self._plan_list(
            inputs,
            timeout,
            headers,
            max_concurrency,
            (user_id, persistent_memory),
            ends_at_error=not return_exceptions,
        )
        listed = many.Listed(count, return_exceptions=return_exceptions, on_progress=on_progress)
        return listed.run(many.Batch(plan))

    def map(  # noqa: D417 - one line tells of four arguments
        self,
        inputs: Iterable[Any],
        *,
        journal: str | os.PathLike[str] | None = None,
        fresh: bool = False,
        rate: str | float | None = None,
        max_concurrency: int | None = None,
        per_call: int = 1,
        response_model: Any = None,
        progress: bool | progress.ProgressDisplay | None = None,
        entrypoint: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        executor: many.Source | None = None,
        credentials: Literal["ship"] | None = None,
        batch_id: str | None = None,
    ) -> many.Batch:
        """Run the agent on many inputs, at the pace that its server sustains.

        A row that fails does not end the others; rate limits and outages cost no row an attempt.
        With a journal, a batch that was stopped or killed goes on when it is run again.

        Args:
            inputs: Dictionaries, or pairs of an id and a dictionary; each is read shortly before
                it is sent. Rows without an id are known by their position.
            journal: A file on a disk of this machine for the answers; `None` for memory.
            fresh: Ask all rows again, those too that are finished in the journal.
            rate: The server's limit, such as `"50/s"` or `"3000/min"`; `None` to find the pace.
            max_concurrency: Requests at the same time, at most; `None` for as many as the client
                has connections, which it exceeds only with an executor.
            per_call: Rows in one request; from 2 on, a list `inputs`, answered by one of outputs.
            response_model: As for `run`. A row whose answer does not fit fails, and keeps it.
            progress: `None` shows it in notebooks and terminals, `False` never; or a display.
            timeout: Seconds each attempt may take; `None` for the client's.
            entrypoint, headers, user_id, persistent_memory: As for `run`.
            executor: A `concurrent.futures.Executor` to send the requests, or a function for one.
            credentials: `"ship"` to send secrets to its workers, which otherwise need their own.
            batch_id: The part of idempotency keys that names the batch; `None` for a random one.

        Returns:
            The batch. Nothing is sent before it is iterated over.

        Raises:
            ValidationError: An invalid argument; a journal that is damaged, in use or another's.
            RunAgentError: A journal that cannot be opened; a client that was closed.

        Example:
            >>> client = RunAgentClient("shout")  # an agent that answers in capitals
            >>> [row.output for row in client.map([{"query": "Good?"}])]
            ['GOOD?']
        """
        check_not_awaited(self, "map")
        headers = conceal(headers)
        kept = many.Keeping(journal, fresh, batch_id)
        sent = many.Sending(rate, max_concurrency, per_call, executor, credentials)
        asked = many.Asking(entrypoint, timeout, headers, user_id, persistent_memory)
        return many.Batch(self._plan_map(inputs, kept, sent, asked, response_model, progress))

    def map_frame(
        self,
        frame: Any,
        input: many.Inputs,  # noqa: A002 - the word of the field
        *,
        id: str | None = None,  # noqa: A002
        output: many.Outputs = "output",
        **options: Any,
    ) -> Any:
        """Run the agent on the rows of a table, and return the table with the answers.

        Args:
            frame: A DataFrame of pandas or polars, or a Table of pyarrow.
            input: A column, which becomes `{column: value}`; a mapping of the input's fields to
                columns; or a function that makes an input of a row, a dictionary.
            id: The column that identifies a row in the journal; `None` for its position.
            output: The column for the answers; a list of fields of the answer that become columns;
                or a mapping of such fields to columns.
            options: Further arguments of `map`, such as `journal`, `response_model` and `rate`.

        Returns:
            A table of the same kind, with the same rows and columns. New are those of `output`,
            `status` (`"ok"` or `"failed"`) and `error` (the message, or nothing).

        Raises:
            ValidationError: A column that is not there, or a new one that is.
            RunAgentError: A batch that ended early, as for `map`. Its `answers`, as those of an
                interrupt, are the table with the answers so far.

        Example:
            >>> client = RunAgentClient("shout")  # an agent that answers in capitals
            >>> frame = pd.DataFrame({"text": ["Good?", "Bad?"]})
            >>> client.map_frame(frame, {"query": "text"}, output="shouted")
                text shouted status error
            0  Good?   GOOD?     ok  None
            1   Bad?    BAD?     ok  None
        """
        check_not_awaited(self, "map_frame")
        table = many.Frame(frame, input, id, output)
        return table.run(self.map(table.inputs, **options))

    @overload
    def run(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: None = None,
    ) -> Any: ...

    @overload
    def run(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: type[T],
    ) -> T: ...

    def run(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: type[T] | None = None,
    ) -> Any:
        """Run an entrypoint of the agent and return its answer unchanged.

        Args:
            input_data: The input, or the entrypoint's keyword arguments.
            entrypoint: The entrypoint's tag, `None` for the usual one. Only `runagent serve` has
                others; `entrypoints` lists them.
            input_args: Positional arguments for it.
            timeout: Seconds the call may take in all; `None` for the client's.
            headers: Sent with this request, over the client's.
            user_id: The user on whose behalf the agent runs; `None` for the client's.
            persistent_memory: Whether the agent may remember the call for that user; `None` for
                the client's.
            response_model: A pydantic model, a dataclass, or a type made of them such as
                `list[Model]`, into which the answer is read: its object, or the one JSON block in
                its text.

        Returns:
            The agent's answer, of any JSON type; with `response_model`, as an instance of it.

        Raises:
            ValidationError: An entrypoint that the agent does not have, or that streams; or an
                answer that does not fit `response_model`.
            RunAgentError: As for `run_generic`.

        Example:
            >>> client = RunAgentClient("cities")  # an agent that answers with JSON
            >>> client.run({"query": "Where is the Colosseum?"})
            {'name': 'Rome', 'country': 'Italy'}
            >>> client.run({"query": "Where is the Colosseum?"}, response_model=City)
            City(name='Rome', country='Italy')
        """
        check_not_awaited(self, "run")
        headers = conceal(headers)
        _check_model(response_model)
        prepared = self._prepare_entrypoint(
            input_data,
            timeout,
            headers,
            entrypoint,
            input_args,
            (user_id, persistent_memory),
            streams=False,
        )
        result = self._pump.invoke(*prepared)
        return self._answer(result, result.value, response_model, prepared[-1])

    def run_stream(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        total_timeout: float | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
    ) -> Stream[str]:
        """Stream the answer of an entrypoint, whose tag ends in `_stream`.

        Arguments are those of `run`, but `timeout` bounds the silence of the server, and
        `total_timeout` the seconds of the whole stream (`None` for the client's). A server closes a
        stream whose reader pauses for long: `runagent serve` does after 20 to 40 s.

        Returns:
            The same as from `run_generic_stream`; `stream_events` yields chunks unchanged.

        Raises:
            ValidationError: An entrypoint that the agent does not have, or that does not stream.
            RunAgentError: As for `run_generic_stream`.

        Example:
            >>> client = RunAgentClient("shout")  # an agent that answers in capitals
            >>> [chunk for chunk in client.run_stream({"query": "Hello you"})]
            ['HELLO ', 'YOU ']
        """
        check_not_awaited(self, "run_stream")
        headers = conceal(headers)
        prepared = self._prepare_entrypoint(
            input_data,
            timeout,
            headers,
            entrypoint,
            input_args,
            (user_id, persistent_memory),
            streams=True,
        )
        return self._pump.stream(*prepared, _text, self._total(total_timeout))

    def entrypoints(
        self, timeout: float | None = None, headers: Mapping[str, str] | None = None
    ) -> list[Entrypoint]:
        """List the agent's entrypoints, which only `runagent serve` has.

        Args:
            timeout: Seconds the call may take in all; `None` for the client's.
            headers: Sent with this request, over the client's.

        Returns:
            The entrypoints, in the order of the server.

        Raises:
            ValidationError: A server whose agents have no named entrypoints.
            RunAgentError: As for `run_generic`.

        Example:
            >>> client = RunAgentClient("agent-123", base_url=url)  # where `runagent serve` is
            >>> [entrypoint.tag for entrypoint in client.entrypoints()]
            ['minimal', 'minimal_stream']
        """
        check_not_awaited(self, "entrypoints")
        headers = conceal(headers)
        _, seconds, checked = self._prepare({}, timeout, headers)
        return self._pump.entrypoints(seconds, checked)

    def health(
        self, timeout: float | None = None, headers: Mapping[str, str] | None = None
    ) -> Health:
        """Ask for the health of the agent, or of its server under `runagent serve`.

        Args:
            timeout: Seconds the call may take in all; `None` for the client's.
            headers: Sent with this request, over the client's.

        Returns:
            The report, also where it says that the server is not healthy.

        Raises:
            RunAgentError: As for `run_generic`; a server that reports nothing.

        Example:
            >>> report = RunAgentClient("demo").health()
            >>> report.status
            'healthy'
        """
        check_not_awaited(self, "health")
        _, seconds, checked = self._prepare({}, timeout, headers)
        return self._pump.health(seconds, checked)

    def close(self) -> None:
        """Close the connections. May be called again; the client cannot be used afterwards.

        Calls that wait in other threads end with a `RunAgentError` of the code `CLIENT_CLOSED`.

        Example:
            >>> client = RunAgentClient("demo")
            >>> client.close()
            >>> client.closed
            True
        """
        self._pump.close()

    def __enter__(self: C) -> C:  # noqa: PYI019 - Python 3.10 has no Self
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncRunAgentClient(_BaseClient, AsyncClientSlips):
    """Calls one agent, for code that runs in an asyncio event loop.

    >>> client = AsyncRunAgentClient("demo")  # built in, in place of "agent-123"
    >>> print(await client.run({"query": "Hello"}))
    # Hello from the demo agent
    ...
    >>> calls = [client.run({"query": query}) for query in ("Hello", "Tell a story")]
    >>> len(await asyncio.gather(*calls))  # both at the same time
    2

    A client may be used from several event loops, one after the other or at once in several
    threads: it keeps connections for each. Close it with `aclose`, or use it in an `async with`
    statement; one that is simply dropped cleans up by itself.
    """

    _pump: pumps.AsyncPump

    def _connect(self) -> None:
        from runagent.pumps import AsyncPump  # noqa: PLC0415 - loads httpx2

        self._pump = AsyncPump(self._settings, self._arguments)

    def _share(self, other: _BaseClient) -> None:
        assert isinstance(other, AsyncRunAgentClient)
        self._pump.share(other._pump)  # noqa: SLF001 - its own class

    @overload
    async def run_generic(
        self,
        input_data: Mapping[str, Any],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: None = None,
    ) -> dict[str, Any]: ...

    @overload
    async def run_generic(
        self,
        input_data: Mapping[str, Any],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: type[T],
    ) -> T: ...

    async def run_generic(
        self,
        input_data: Mapping[str, Any],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: type[T] | None = None,
    ) -> Any:
        """Run the agent and return its answer.

        Args:
            input_data: The input, an object of any JSON-like values; `runagent.encode.to_json`
                says how dataclasses, DataFrames and others are sent.
            timeout: Seconds the call may take in all, retries included; `None` for the client's.
            headers: Sent with this request, over the client's.
            user_id: The user on whose behalf the agent runs; `None` for the client's.
            persistent_memory: Whether the agent may remember the call for that user; `None` for
                the client's.
            response_model: A pydantic model, a dataclass, or a type made of them such as
                `list[Model]`, into which the answer is read: its object, or the one JSON block in
                its text.

        Returns:
            The agent's answer; one that is not an object comes as `{"result": answer}`. With
            `response_model`, the answer as an instance of it.

        Raises:
            ValidationError: An invalid input, here or to the server; or an answer that does not
                fit `response_model`, with the path to the part that does not.
            AuthenticationError: An API key that the server refuses.
            AgentNotFoundError: An agent that the server does not know.
            RateLimitError: Too many requests, and no retry within the timeout.
            TimeoutError: No answer in time.
            NetworkError: A server that could not be reached, or a lost connection.
            RunAgentError: Any other failure of the agent or the server, and a closed client.

        Example:
            >>> client = AsyncRunAgentClient("shout")  # an agent that answers in capitals
            >>> await client.run_generic({"query": "Hello"})
            {'result': 'HELLO'}
        """
        headers = conceal(headers)
        _check_model(response_model)
        prepared = self._prepare(input_data, timeout, headers, user=(user_id, persistent_memory))
        result = await self._pump.invoke(*prepared)
        return self._answer(result, result.result, response_model, prepared[-1])

    async def run_generic_with_metadata(
        self,
        input_data: Mapping[str, Any],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
    ) -> RunResult:
        """Run the agent and return its answer with everything that is known about it.

        Arguments and exceptions are those of `run_generic`.

        Returns:
            The answer, token usage, execution time, agent version, request id, attempts, status
            and rate limits.

        Example:
            >>> client = AsyncRunAgentClient("shout")  # an agent that answers in capitals
            >>> result = await client.run_generic_with_metadata({"query": "Hello"})
            >>> result.value, result.attempts
            ('HELLO', 1)
        """
        headers = conceal(headers)
        prepared = self._prepare(input_data, timeout, headers, user=(user_id, persistent_memory))
        return await self._pump.invoke(*prepared)

    def run_generic_stream(
        self,
        input_data: Mapping[str, Any],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        total_timeout: float | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
    ) -> AsyncStream[str]:
        """Stream the agent's answer. The stream itself is not awaited.

        The input is checked at once; the request is sent when the first chunk is asked for.

        Args:
            input_data: The input, as for `run_generic`.
            timeout: Seconds the server may be silent; `None` for the client's.
            headers: Sent with this request, over the client's.
            total_timeout: Seconds the whole stream may take; `None` for the client's.
            user_id: The user on whose behalf the agent runs; `None` for the client's.
            persistent_memory: Whether the agent may remember the call for that user; `None` for
                the client's.

        Returns:
            An asynchronous iterator over the chunks of text, which is an asynchronous context
            manager too. A chunk that is not a string comes as the string under its `content`,
            `delta` or `text`, or else as JSON; `stream_events` yields chunks unchanged.

        Raises:
            StreamError: While iterating: a stream that broke off, or in which the agent failed.
            RunAgentError: As for `run_generic`; errors of the server while iterating.

        Example:
            >>> client = AsyncRunAgentClient("shout")  # an agent that answers in capitals
            >>> async with client.run_generic_stream({"query": "Hello you"}) as stream:
            ...     [chunk async for chunk in stream]
            ['HELLO ', 'YOU ']
        """
        headers = conceal(headers)
        prepared = self._prepare(input_data, timeout, headers, user=(user_id, persistent_memory))
        return self._pump.stream(*prepared, _text, self._total(total_timeout))

    def stream_events(
        self,
        input_data: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        total_timeout: float | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
    ) -> AsyncStream[StreamEvent]:
        """Stream the agent's answer as events, with the raw values the agent sent.

        Arguments and exceptions are those of `run_stream`.

        Returns:
            An asynchronous iterator over all events of the stream, also over those of unknown
            kinds. It is an asynchronous context manager too.

        Example:
            >>> client = AsyncRunAgentClient("shout")  # an agent that answers in capitals
            >>> [event.kind async for event in client.stream_events({"query": "Hello you"})]
            ['start', 'chunk', 'chunk', 'done']
        """
        headers = conceal(headers)
        prepared = self._prepare_entrypoint(
            input_data,
            timeout,
            headers,
            entrypoint,
            input_args,
            (user_id, persistent_memory),
            streams=True,
        )
        return self._pump.stream(*prepared, StreamEvent, self._total(total_timeout))

    @overload
    async def batch_run(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        max_concurrency: int = ...,
        return_exceptions: Literal[False] = ...,
        on_progress: Callable[[int, int], object] | None = ...,
        timeout: float | None = ...,
        headers: Mapping[str, str] | None = ...,
        user_id: str | None = ...,
        persistent_memory: bool | None = ...,
    ) -> list[dict[str, Any]]: ...

    @overload
    async def batch_run(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        max_concurrency: int = ...,
        return_exceptions: bool,
        on_progress: Callable[[int, int], object] | None = ...,
        timeout: float | None = ...,
        headers: Mapping[str, str] | None = ...,
        user_id: str | None = ...,
        persistent_memory: bool | None = ...,
    ) -> list[dict[str, Any] | Exception]: ...

    async def batch_run(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        max_concurrency: int = defaults.CONCURRENCY,
        return_exceptions: bool = False,
        on_progress: Callable[[int, int], object] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
    ) -> Any:
        """Run the agent on many inputs, several at a time.

        All inputs are checked before the first one is sent.

        Args:
            inputs: The inputs, each as for `run_generic`.
            max_concurrency: Calls at the same time, each in a task.
            return_exceptions: Put the exception of a call in the place of its answer, instead of
                raising the first one and ending the calls under way.
            on_progress: Called in this event loop after each call with the number of finished calls
                and the number of all: `lambda done, total: print(done, "of", total)`.
            timeout: Seconds each call may take in all; `None` for the client's.
            headers: Sent with each request, over the client's.
            user_id: The user on whose behalf the agent runs; `None` for the client's.
            persistent_memory: Whether the agent may remember the call for that user; `None` for
                the client's.

        Returns:
            The answers, in the order of the inputs.

        Raises:
            RunAgentError: As for `run_generic`.

        Example:
            >>> client = AsyncRunAgentClient("shout")  # an agent that answers in capitals
            >>> await client.batch_run([{"query": "Hello"}, {"query": "Goodbye"}])
            [{'result': 'HELLO'}, {'result': 'GOODBYE'}]
        """
        headers = conceal(headers)

        plan, count = self._plan_list(
            inputs,
            timeout,
            headers,
            max_concurrency,
            (user_id, persistent_memory),
            ends_at_error=not return_exceptions,
        )
        listed = many.Listed(count, return_exceptions=return_exceptions, on_progress=on_progress)
        return await listed.run_async(many.AsyncBatch(plan))

    def map(  # noqa: D417 - one line tells of four arguments
        self,
        inputs: Iterable[Any],
        *,
        journal: str | os.PathLike[str] | None = None,
        fresh: bool = False,
        rate: str | float | None = None,
        max_concurrency: int | None = None,
        per_call: int = 1,
        response_model: Any = None,
        progress: bool | progress.ProgressDisplay | None = None,
        entrypoint: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        executor: many.Source | None = None,
        credentials: Literal["ship"] | None = None,
        batch_id: str | None = None,
    ) -> many.AsyncBatch:
        """Run the agent on many inputs, at the pace that its server sustains.

        A row that fails does not end the others; rate limits and outages cost no row an attempt.
        With a journal, a batch that was stopped or killed goes on when it is run again.

        Args:
            inputs: Dictionaries, or pairs of an id and a dictionary; each is read shortly before
                it is sent. Rows without an id are known by their position.
            journal: A file on a disk of this machine for the answers; `None` for memory.
            fresh: Ask all rows again, those too that are finished in the journal.
            rate: The server's limit, such as `"50/s"` or `"3000/min"`; `None` to find the pace.
            max_concurrency: Requests at the same time, at most; `None` for as many as the client
                has connections, which it exceeds only with an executor.
            per_call: Rows in one request; from 2 on, a list `inputs`, answered by one of outputs.
            response_model: As for `run`. A row whose answer does not fit fails, and keeps it.
            progress: `None` shows it in notebooks and terminals, `False` never; or a display.
            timeout: Seconds each attempt may take; `None` for the client's.
            entrypoint, headers, user_id, persistent_memory: As for `run`.
            executor: A `concurrent.futures.Executor` to send the requests, or a function for one.
            credentials: `"ship"` to send secrets to its workers, which otherwise need their own.
            batch_id: The part of idempotency keys that names the batch; `None` for a random one.

        Returns:
            The batch. Nothing is sent before it is iterated over.

        Raises:
            ValidationError: An invalid argument; a journal that is damaged, in use or another's.
            RunAgentError: A journal that cannot be opened; a client that was closed.

        Example:
            >>> client = AsyncRunAgentClient("shout")  # an agent that answers in capitals
            >>> [row.output async for row in client.map([{"query": "Good?"}])]
            ['GOOD?']
        """
        headers = conceal(headers)
        kept = many.Keeping(journal, fresh, batch_id)
        sent = many.Sending(rate, max_concurrency, per_call, executor, credentials)
        asked = many.Asking(entrypoint, timeout, headers, user_id, persistent_memory)
        return many.AsyncBatch(self._plan_map(inputs, kept, sent, asked, response_model, progress))

    async def map_frame(
        self,
        frame: Any,
        input: many.Inputs,  # noqa: A002 - the word of the field
        *,
        id: str | None = None,  # noqa: A002
        output: many.Outputs = "output",
        **options: Any,
    ) -> Any:
        """Run the agent on the rows of a table, and return the table with the answers.

        Args:
            frame: A DataFrame of pandas or polars, or a Table of pyarrow.
            input: A column, which becomes `{column: value}`; a mapping of the input's fields to
                columns; or a function that makes an input of a row, a dictionary.
            id: The column that identifies a row in the journal; `None` for its position.
            output: The column for the answers; a list of fields of the answer that become columns;
                or a mapping of such fields to columns.
            options: Further arguments of `map`, such as `journal`, `response_model` and `rate`.

        Returns:
            A table of the same kind, with the same rows and columns. New are those of `output`,
            `status` (`"ok"` or `"failed"`) and `error` (the message, or nothing).

        Raises:
            ValidationError: A column that is not there, or a new one that is.
            RunAgentError: A batch that ended early, as for `map`. Its `answers`, as those of an
                interrupt, are the table with the answers so far.

        Example:
            >>> client = AsyncRunAgentClient("shout")  # an agent that answers in capitals
            >>> frame = pd.DataFrame({"text": ["Good?", "Bad?"]})
            >>> await client.map_frame(frame, {"query": "text"}, output="shouted")
                text shouted status error
            0  Good?   GOOD?     ok  None
            1   Bad?    BAD?     ok  None
        """
        table = many.Frame(frame, input, id, output)
        return await table.run_async(self.map(table.inputs, **options))

    @overload
    async def run(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: None = None,
    ) -> Any: ...

    @overload
    async def run(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: type[T],
    ) -> T: ...

    async def run(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
        response_model: type[T] | None = None,
    ) -> Any:
        """Run an entrypoint of the agent and return its answer unchanged.

        Args:
            input_data: The input, or the entrypoint's keyword arguments.
            entrypoint: The entrypoint's tag, `None` for the usual one. Only `runagent serve` has
                others; `entrypoints` lists them.
            input_args: Positional arguments for it.
            timeout: Seconds the call may take in all; `None` for the client's.
            headers: Sent with this request, over the client's.
            user_id: The user on whose behalf the agent runs; `None` for the client's.
            persistent_memory: Whether the agent may remember the call for that user; `None` for
                the client's.
            response_model: A pydantic model, a dataclass, or a type made of them such as
                `list[Model]`, into which the answer is read: its object, or the one JSON block in
                its text.

        Returns:
            The agent's answer, of any JSON type; with `response_model`, as an instance of it.

        Raises:
            ValidationError: An entrypoint that the agent does not have, or that streams; or an
                answer that does not fit `response_model`.
            RunAgentError: As for `run_generic`.

        Example:
            >>> client = AsyncRunAgentClient("cities")  # an agent that answers with JSON
            >>> await client.run({"query": "Where is the Colosseum?"})
            {'name': 'Rome', 'country': 'Italy'}
            >>> await client.run({"query": "Where is the Colosseum?"}, response_model=City)
            City(name='Rome', country='Italy')
        """
        headers = conceal(headers)
        _check_model(response_model)
        prepared = self._prepare_entrypoint(
            input_data,
            timeout,
            headers,
            entrypoint,
            input_args,
            (user_id, persistent_memory),
            streams=False,
        )
        result = await self._pump.invoke(*prepared)
        return self._answer(result, result.value, response_model, prepared[-1])

    def run_stream(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        entrypoint: str | None = None,
        input_args: Sequence[Any] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        total_timeout: float | None = None,
        user_id: str | None = None,
        persistent_memory: bool | None = None,
    ) -> AsyncStream[str]:
        """Stream the answer of an entrypoint, whose tag ends in `_stream`.

        Arguments are those of `run`, but `timeout` bounds the silence of the server, and
        `total_timeout` the seconds of the whole stream (`None` for the client's). A server closes a
        stream whose reader pauses for long: `runagent serve` does after 20 to 40 s.

        Returns:
            The same as from `run_generic_stream`; `stream_events` yields chunks unchanged.

        Raises:
            ValidationError: An entrypoint that the agent does not have, or that does not stream.
            RunAgentError: As for `run_generic_stream`.

        Example:
            >>> client = AsyncRunAgentClient("shout")  # an agent that answers in capitals
            >>> [chunk async for chunk in client.run_stream({"query": "Hello you"})]
            ['HELLO ', 'YOU ']
        """
        headers = conceal(headers)
        prepared = self._prepare_entrypoint(
            input_data,
            timeout,
            headers,
            entrypoint,
            input_args,
            (user_id, persistent_memory),
            streams=True,
        )
        return self._pump.stream(*prepared, _text, self._total(total_timeout))

    async def entrypoints(
        self, timeout: float | None = None, headers: Mapping[str, str] | None = None
    ) -> list[Entrypoint]:
        """List the agent's entrypoints, which only `runagent serve` has.

        Args:
            timeout: Seconds the call may take in all; `None` for the client's.
            headers: Sent with this request, over the client's.

        Returns:
            The entrypoints, in the order of the server.

        Raises:
            ValidationError: A server whose agents have no named entrypoints.
            RunAgentError: As for `run_generic`.

        Example:
            >>> client = AsyncRunAgentClient("agent-123", base_url=url)  # where `runagent serve` is
            >>> [entrypoint.tag for entrypoint in await client.entrypoints()]
            ['minimal', 'minimal_stream']
        """
        headers = conceal(headers)
        _, seconds, checked = self._prepare({}, timeout, headers)
        return await self._pump.entrypoints(seconds, checked)

    async def health(
        self, timeout: float | None = None, headers: Mapping[str, str] | None = None
    ) -> Health:
        """Ask for the health of the agent, or of its server under `runagent serve`.

        Args:
            timeout: Seconds the call may take in all; `None` for the client's.
            headers: Sent with this request, over the client's.

        Returns:
            The report, also where it says that the server is not healthy.

        Raises:
            RunAgentError: As for `run_generic`; a server that reports nothing.

        Example:
            >>> report = await AsyncRunAgentClient("demo").health()
            >>> report.status
            'healthy'
        """
        _, seconds, checked = self._prepare({}, timeout, headers)
        return await self._pump.health(seconds, checked)

    async def aclose(self) -> None:
        """Close the connections. May be called again; the client cannot be used afterwards.

        Calls that wait in other tasks end with a `RunAgentError` of the code `CLIENT_CLOSED`.

        Example:
            >>> client = AsyncRunAgentClient("demo")
            >>> await client.aclose()
            >>> client.closed
            True
        """
        await self._pump.aclose()

    async def __aenter__(self: C) -> C:  # noqa: PYI019 - Python 3.10 has no Self
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
