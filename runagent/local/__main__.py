"""The command `python -m runagent.local`."""
# ruff: noqa: T201 - a command prints to its terminal

from __future__ import annotations

import argparse
import inspect
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Any, NoReturn

from runagent.local import Server
from runagent.local.address import bind
from runagent.local.agents import Agent
from runagent.local.demo import demo
from runagent.local.limits import Limits
from runagent.local.loading import LoadError, load

_DESCRIPTION = """\
Serve Python functions as agents on this machine.

From a file or module, the command serves the functions decorated with @runagent.local.agent. If
there are none, it serves the public functions, each under its name. Without a file or module, it
serves the demo agent.
"""
_KEY = "RUNAGENT_LOCAL_API_KEY"


def main() -> int:
    """Serve until Ctrl-C or SIGTERM.

    Returns:
        The exit code: 0 after serving, 2 if something could not be served.
    """
    options = parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    try:
        # The port comes first, because loading may take long and have effects.
        address = bind(options.host, options.port, options.api_key)
        with ExitStack() as on_failure:
            on_failure.callback(address.socket.close)
            agents = _load(options.target)
            if options.agent_id is not None:
                agents = {options.agent_id: _only(agents, options.target)}
            served = {agent_id: Agent(agent_id, agent) for agent_id, agent in agents.items()}
            on_failure.pop_all()
        server = Server(served, address, Limits())
    except KeyboardInterrupt:
        return 0
    except OSError as exc:
        return _refuse(f"{exc.strerror}. Choose another port with --port, or 0 for a free one.")
    except (LoadError, TypeError, ValueError) as exc:
        return _refuse(str(exc))
    with server:
        try:
            _announce(server, agents, options.api_key)
            server.wait()
        except KeyboardInterrupt:
            print("\nStopped.", flush=True)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    found = argparse.ArgumentParser(
        prog="python -m runagent.local",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = found.add_argument
    add(
        "target",
        nargs="?",
        help="my_agents.py, package.module, or either followed by :function",
    )
    add("--agent-id", help="the agent's id, by default the function's name")
    add("--host", default="127.0.0.1", help="address to bind to (%(default)s)")
    add("--port", type=int, default=8460, help="0 for a free one (%(default)s)")
    add(
        "--api-key",
        default=os.environ.get(_KEY) or None,
        help=f"the key that clients need; setting {_KEY} instead keeps it out of process lists",
    )
    return found


def _load(target: str | None) -> dict[str, Callable[..., Any]]:
    if target is None:
        return {"demo": demo}
    try:
        return load(target)
    except LoadError:
        raise
    except (Exception, SystemExit) as exc:
        # The earlier frames belong to the import system.
        frames = traceback.extract_tb(exc.__traceback__)
        own = [f for f in frames if "importlib" not in f.filename and f.filename not in _OURS]
        lines = traceback.format_list(own) + traceback.format_exception_only(type(exc), exc)
        raise LoadError(f"{target} cannot be imported:\n{''.join(lines)}".rstrip()) from exc


def _only(agents: dict[str, Callable[..., Any]], target: str) -> Callable[..., Any]:
    if len(agents) > 1:
        raise LoadError(
            f"--agent-id is for one function, but {target} has {len(agents)}: "
            f"{', '.join(agents)}. Name one, as {target}:function."
        )
    return next(iter(agents.values()))


def _announce(server: Server, agents: dict[str, Callable[..., Any]], api_key: str | None) -> None:
    if not server.is_loopback and api_key is None:
        print(
            f"Warning: anybody who reaches {server.host} can call these agents. Set {_KEY}.",
            file=sys.stderr,
            flush=True,
        )
    print(f"Serving on {server.url}")
    for agent_id, function in agents.items():
        print(f"  {agent_id}{inspect.signature(function)}")
    first = next(iter(agents))
    key = f', api_key=os.environ["{_KEY}"]' if api_key else ""
    print(f"Client: RunAgentClient({first!r}, base_url={server.url!r}{key})")
    print("Stop with Ctrl-C.", flush=True)


def _refuse(problem: str) -> int:
    print(f"runagent.local: {problem}", file=sys.stderr)
    return 2


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


_OURS = {__file__, load.__code__.co_filename}

if __name__ == "__main__":
    sys.exit(main())
