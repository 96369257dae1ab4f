"""A JupyterLab server of the tests' own, and a watch on what happens in its pages."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx2
from playwright.sync_api import (
    BrowserContext,
    Dialog,
    Page,
)
from typing_extensions import Self

from support.clock import PATIENCE, TICK
from support.isolation import isolated_environment
from support.programs import end


class LabServer:
    """A running JupyterLab server, in a home and a working directory of its own.

    Use it as a context manager.

    Attributes:
        url: Its base URL, with a slash at the end.
        token: The token that it asks for.
        directory: The directory that it serves.
    """

    def __init__(
        self, root: Path, *, environment: dict[str, str] | None = None, timeout: float = PATIENCE
    ) -> None:
        """Prepare a server; entering the context starts it.

        Args:
            root: A directory for its home and its notebooks.
            environment: Variables to set on top of an isolated environment; kernels get them too.
            timeout: Seconds within which it must answer.
        """
        self.directory = root / "notebooks"
        self.token = secrets.token_hex(16)
        self.url = ""
        self._root = root
        self._timeout = timeout
        self._environment = isolated_environment(root) | (environment or {})

    def __enter__(self) -> Self:
        self.directory.mkdir()
        self.forget_settings()
        # JupyterLab 3 takes no notice of its own option for this.
        page = Path(self._environment["JUPYTER_CONFIG_DIR"], "labconfig")
        page.mkdir(parents=True)
        (page / "page_config.json").write_text(json.dumps({"exposeAppInBrowser": True}))
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": 0,
            # As on a JupyterHub: nothing may take the root of the host for the server's.
            "ServerApp.base_url": "/user/me/",
            "ServerApp.root_dir": self.directory,
            "ServerApp.terminals_enabled": False,
            "ServerApp.allow_root": True,
            "ServerApp.open_browser": False,
            "IdentityProvider.token": self.token,
            "LabApp.extension_manager": "readonly",
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            "LanguageServerManager.autodetect": False,
        }
        path = self._root / "jupyterlab.log"
        with path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, Path(__file__).with_name("lab_program.py"), path),
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                env=self._environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            end(self._process)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        end(self._process)

    @property
    def log(self) -> str:
        """The text that the server and its kernels wrote to stdout and stderr."""
        return (self._root / "jupyterlab.log").read_text(errors="replace")

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Call the server's REST API, such as `request("GET", "api/kernels")`."""
        headers = {"Authorization": f"token {self.token}"}
        answer = httpx2.request(
            method, self.url + path, headers=headers, trust_env=False, timeout=PATIENCE, **options
        )
        return answer.raise_for_status()

    def forget_settings(self) -> None:
        """Set JupyterLab's settings to what tests start from: all defaults, no news."""
        settings = Path(self._environment["JUPYTERLAB_SETTINGS_DIR"])
        shutil.rmtree(settings, ignore_errors=True)
        notifications = settings / "@jupyterlab" / "apputils-extension"
        notifications.mkdir(parents=True)
        (notifications / "notification.jupyterlab-settings").write_text(
            json.dumps({"checkForUpdates": False, "fetchNews": "false"})
        )

    def shut_kernels_down(self) -> None:
        """Shut down every kernel, with the sessions they belong to."""
        for session in self.request("GET", "api/sessions").json():
            self.request("DELETE", f"api/sessions/{session['id']}")
        for kernel in self.request("GET", "api/kernels").json():
            self.request("DELETE", f"api/kernels/{kernel['id']}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._timeout
        running = self._root / "runtime" / f"jpserver-{self._process.pid}.json"
        while True:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"JupyterLab did not start. Its log:\n{self.log}")
            try:
                self.url = json.loads(running.read_text())["url"]
                self.request("GET", "api/status")
            except (OSError, ValueError, httpx2.HTTPError):
                time.sleep(TICK)
            else:
                return


_SEARCH_FOR_A_FONT = (
    "Access to font at 'about:blank' ",
    "Failed to load resource: net::ERR_FAILED (about:blank)",
)
"""How errors begin that MathJax 2, which JupyterLab 3 has, makes in the console."""


@dataclass
class Watch:
    """Events in a page that a user should know of.

    Attributes:
        console: Errors in the console, and uncaught exceptions other than JupyterLab's own.
        foreign: URLs of requests to anything but the Lab server, or outside of its base path.
            Beyond loopback they lead nowhere.
        dialogs: Messages of alert, confirm and prompt boxes, which are dismissed. A page may always be
            left, saved or not.
    """

    origin: str
    base: str
    console: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    @property
    def noticed(self) -> bool:
        """Whether anything happened."""
        return bool(self.console or self.foreign or self.dialogs)

    def forget(self) -> None:
        """Forget what happened."""
        for events in (self.console, self.foreign, self.dialogs):
            events.clear()

    def attach(self, context: BrowserContext) -> None:
        """Watch every page of a browser context, popups included."""
        context.on("request", lambda request: self._request(request.url))
        context.on("page", self._page)

    def _page(self, page: Page) -> None:
        page.on("websocket", lambda socket: self._request(socket.url))
        page.on("pageerror", lambda error: self._uncaught(str(error)))
        page.on("console", lambda m: self._console(m.type, m.text, m.location))
        page.on("dialog", self._dialog)

    def _uncaught(self, error: str) -> None:
        # JupyterLab asks a kernel for a subshell for its widgets, and handles no refusal: it raises
        # this when a slow machine has not answered before a connection to the kernel is given up.
        if "Canceled future for create_subshell_request" not in error:
            self.console.append(f"uncaught: {error}")

    def _console(self, kind: str, text: str, location: Any) -> None:
        message = f"{text} ({location.get('url', '')})"
        if kind == "error" and not message.startswith(_SEARCH_FOR_A_FONT):
            self.console.append(message)

    def _dialog(self, dialog: Dialog) -> None:
        if dialog.type == "beforeunload":
            dialog.accept()
            return
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _request(self, url: str) -> None:
        if self._is_foreign(url):
            self.foreign.append(url)

    def _is_foreign(self, url: str) -> bool:
        parts = urlsplit(url)
        if parts.scheme in {"data", "blob", "about"}:
            return False
        return parts.netloc != self.origin or not parts.path.startswith(self.base)
