"""RunAgent in notebooks: `%load_ext runagent_jupyter`, then `%%runagent AGENT`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from runagent_jupyter.reply import Reply
except ModuleNotFoundError as exc:  # pragma: no cover - shown by the package check
    raise ModuleNotFoundError(
        f'runagent_jupyter needs {exc.name}: pip install "runagent[jupyter]"', name=exc.name
    ) from exc

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Reply", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics to an IPython shell, and let `asyncio.run` work in its running loop."""
    from runagent_jupyter.loops import make_reentrant  # noqa: PLC0415 - only when asked to
    from runagent_jupyter.magics import RunAgentMagics  # noqa: PLC0415

    make_reentrant()
    shell.register_magics(RunAgentMagics(shell))


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics. A patched event loop stays as it is: code may be running on it."""
    for magics in shell.magics_manager.magics.values():
        magics.pop("runagent", None)
    shell.magics_manager.registry.pop("RunAgentMagics", None)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name in ("AgentWidget", "chat"):
        from runagent_jupyter import widget  # noqa: PLC0415 - loads ipywidgets and anywidget

        return getattr(widget, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
