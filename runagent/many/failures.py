"""The errors of batches: why one ends early, and what is wrong with a row."""

from __future__ import annotations

from typing import Any

from runagent.errors import NetworkError, RateLimitError, RunAgentError, ValidationError

_RESUME = "Rows that are finished are kept."


def senseless(error: RunAgentError, finished: int) -> RunAgentError:
    """Return the error for a batch whose other rows would all fail with the same one."""
    again = type(error)(
        f"The batch ended after {finished:,} rows, as the others would fail too: {error.message}",
        error.code,
        error.details,
        status_code=error.status_code,
        request_id=error.request_id,
        hint=error.hint,
    )
    again.__cause__ = error
    return again


def too_many(failed: int, finished: int, last: RunAgentError) -> RunAgentError:
    """Return the error for a batch of whose first rows half have failed."""
    error = RunAgentError(
        f"The batch ended, as {failed} of its first {finished} rows failed; the last one: "
        f"{last.message}",
        code="TOO_MANY_FAILURES",
        hint=f"{_RESUME} Mend the cause, then run the batch again with the same journal.",
    )
    error.__cause__ = last
    return error


def gone(seconds: float) -> RunAgentError:
    """Return the error for a batch whose server went away and did not come back."""
    return RunAgentError(
        f"The batch ended, as its server has not been available for {seconds:.0f} s.",
        code="SERVER_GONE",
        hint=f"{_RESUME} Run the batch again with the same journal when the server is back.",
    )


def limited_for_long(seconds: float) -> RateLimitError:
    """Return the error for a batch that would have to wait too long for its rate limit."""
    return RateLimitError(
        f"The batch ended, as its rate limit is met for {seconds / 3600:.1f} h.",
        code="RATE_LIMITED",
        retry_after=seconds,
        hint=f"{_RESUME} Run the batch again with the same journal when there is quota again.",
    )


def worker_lost(executor: str, exc: BaseException, names: list[str]) -> NetworkError:
    """Return the error for a row whose worker ended, or whose task was cancelled."""
    error = NetworkError(
        f"{executor} lost the worker of this row: {_told(exc)}{_among(names)}",
        code="WORKER_LOST",
        hint="Look into the logs of the workers: a row may have been too much for their memory.",
    )
    error.__cause__ = exc
    return error


def worker_unusable(executor: str, exc: BaseException) -> RunAgentError:
    """Return the error for a worker, or a scheduler, that does not understand the tasks."""
    error = RunAgentError(
        f"A worker of {executor} could not run its task: {_told(exc)}",
        code="WORKER_UNUSABLE",
        hint=f"The same version of runagent has to be installed wherever tasks are read. {_RESUME}",
    )
    error.__cause__ = exc
    return error


def no_package(name: str) -> RunAgentError:
    """Return the error for a worker that does not have this package, or a very old one."""
    return RunAgentError(
        f"Worker {name}: It has no runagent, or one that is too old.",
        code="WORKER_UNUSABLE",
        hint=f"Install runagent there, in the same version as here. {_RESUME}",
    )


def executor_broken(
    executor: str, exc: BaseException, names: list[str], *, own: bool
) -> RunAgentError:
    """Return the error for a batch whose executor takes no more tasks."""
    hint = "Run the batch again, with the same journal and a new executor."
    if not own:
        hint += " A batch replaces a broken executor by itself if executor= is a function."
    error = RunAgentError(
        f"The batch ended, as {executor} takes no more tasks: {_told(exc)}{_among(names)}",
        code="EXECUTOR_BROKEN",
        hint=f"{_RESUME} {hint}",
    )
    error.__cause__ = exc
    return error


def _told(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {str(exc).strip() or 'no reason given'}"


def _among(names: list[str]) -> str:
    return f" Its workers were {'; '.join(names)}." if names else ""


def not_a_list(count: int) -> RunAgentError:
    """Return the error for an answer to several rows that does not have one output for each."""
    return RunAgentError(
        f"The agent's answer is not a list of {count} outputs, one for each row of the call.",
        code="INVALID_RESPONSE",
        hint="per_call= needs an entrypoint that takes `inputs`, a list, and returns a list.",
    )


def list_of(output: Any) -> list[Any] | None:
    """Return the list of outputs in the answer to several rows, `None` if there is none."""
    if isinstance(output, dict):
        output = next(
            (output[name] for name in ("outputs", "results", "result") if name in output), None
        )
    return output if isinstance(output, list) else None


def not_inputs(value: object) -> ValidationError:
    """Return the error for something else than many inputs."""
    kind = type(value).__name__
    hint = "Pass a list or a generator of dictionaries, or of pairs of an id and a dictionary."
    if hasattr(value, "columns"):
        hint = 'Write client.map_frame(df, "query"), or pass its rows: df.to_dict("records").'
    return ValidationError(
        f"inputs is of type {kind}; a batch is a list of dictionaries.",
        code="INVALID_INPUT",
        hint=hint,
    )
