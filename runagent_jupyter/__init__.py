"""RunAgent in notebooks: `%load_ext runagent_jupyter`, then `%%runagent AGENT`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from runagent.progress import ProgressDisplay, offer_display

# Most are imported when they are first needed; it is better to learn now that one is missing.
for _name in (
    "IPython",
    "anywidget",
    "ipywidgets",
    "jinja2",
    "latex2mathml",
    "markdown_it",
    "nest_asyncio2",
    "nh3",
    "pygments",
):
    if find_spec(_name) is None:
        raise ModuleNotFoundError(
            f'runagent_jupyter needs {_name}: pip install "runagent[jupyter]"', name=_name
        )

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from runagent_jupyter.reply import Reply
    from runagent_jupyter.widget import AgentWidget, chat

__all__ = ["AgentWidget", "Reply", "chat", "load_ipython_extension", "unload_ipython_extension"]

_LATE = {"AgentWidget": "widget", "Reply": "reply", "chat": "widget"}
"""Names that load much, by the module that they are in."""


def _display_of_batch() -> ProgressDisplay | None:
    from runagent_jupyter.each.batch_output import offered  # noqa: PLC0415 - for the first batch

    return offered()


offer_display(_display_of_batch)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics to an IPython shell, and let `asyncio.run` work in its running loop.

    >>> %load_ext runagent_jupyter
    >>> reply = %runagent shout Hello
    HELLO

    Settings, keys and sessions of an earlier loading are kept.

    Raises:
        RunAgentError: Python runs in a browser, where there are no threads.
        UsageError: A cell that also asks a question that ends in a question mark.
    """
    from runagent_jupyter import completion, magics, question_marks, short_help  # noqa: PLC0415 - only when asked to
    from runagent_jupyter.event_loops import check_threads, make_reentrant  # noqa: PLC0415
    from runagent_jupyter.outputs import cell_outputs  # noqa: PLC0415 - only when asked to

    check_threads()
    question_marks.check_running_cell()
    _forget_late(shell)
    if not make_reentrant() and hasattr(shell, "kernel"):
        # A configuration file loads it before the kernel's loop runs; it runs in the first cell.
        shell.events.register("pre_run_cell", _enable_late)
    magics.add(shell)
    question_marks.add(shell)
    completion.add(shell)
    short_help.add(shell)
    cell_outputs.watch(shell)


def _enable_late(_: Any) -> None:
    from IPython.core.getipython import get_ipython  # noqa: PLC0415 - loaded with the extension

    from runagent_jupyter.event_loops import make_reentrant  # noqa: PLC0415

    _forget_late(get_ipython())
    make_reentrant()


def _forget_late(shell: Any) -> None:
    if _enable_late in shell.events.callbacks["pre_run_cell"]:
        shell.events.unregister("pre_run_cell", _enable_late)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics, and give asyncio back as it was.

    >>> %load_ext runagent_jupyter
    >>> %unload_ext runagent_jupyter
    """
    from runagent_jupyter import completion, magics, question_marks, short_help  # noqa: PLC0415 - loaded with the extension
    from runagent_jupyter.event_loops import restore  # noqa: PLC0415
    from runagent_jupyter.outputs import cell_outputs  # noqa: PLC0415 - loaded with the extension

    _forget_late(shell)
    cell_outputs.unwatch(shell)
    restore()
    magics.remove(shell)
    question_marks.remove(shell)
    completion.remove(shell)
    short_help.remove(shell)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
