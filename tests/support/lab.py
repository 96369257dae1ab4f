"""A real JupyterLab on loopback in a real chromium, and what its user does and sees."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx2
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Dialog,
    Locator,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)
from typing_extensions import Self

from support.chromium import chromium_arguments, chromium_path
from support.clock import PATIENCE, TICK, milliseconds
from support.isolation import isolated_environment

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / ".cache" / "screenshots"

# Finds the notebook at `path` in the page's JupyterLab, and its kernel.
_JS = """
window.runagentTest = {
  panel(path) {
    const widgets = [...window.jupyterapp.shell.widgets("main")];
    return widgets.find((w) => w.context?.path === path && w.content?.widgets);
  },
  kernel(path) { return this.panel(path)?.sessionContext?.session?.kernel; },
  ready(path) {
    const panel = this.panel(path);
    return !!panel && panel.context.isReady && panel.isVisible
      && panel.sessionContext.isReady && this.kernel(path)?.status === "idle";
  },
  settled(path) {
    const kernel = this.kernel(path);
    if (kernel?.status !== "idle" || this.running) return false;
    return this.panel(path).content.widgets.every(
      (cell) => cell.model.type !== "code" || cell.model.executionState !== "running");
  },
  open(path) { this.start("docmanager:open", {path}); },
  async clear() {
    const {commands, shell} = window.jupyterapp;
    for (const widget of [...shell.widgets("main")]) widget.dispose();  // asks nothing, saves nothing
    if (document.body.dataset.jpThemeName !== "JupyterLab Light")
      await commands.execute("apputils:change-theme", {theme: "JupyterLab Light"});
    return !document.querySelector(".jp-Dialog");
  },
  start(command, args) {
    this.running = (this.running ?? 0) + 1;
    window.jupyterapp.commands.execute(command, args ?? {})
      .catch((error) => console.error(`${command}: ${error}`))
      .finally(() => { this.running -= 1; });
  },
};
"""


class LabServer:
    """A running JupyterLab server, in a home and a working directory of its own.

    Use it as a context manager.

    Attributes:
        url: Its base URL, with a slash at the end.
        token: What it asks for.
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
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": 0,
            "ServerApp.root_dir": self.directory,
            "ServerApp.terminals_enabled": False,
            "ServerApp.allow_root": True,
            "ServerApp.open_browser": False,
            "IdentityProvider.token": self.token,
            "LabApp.extension_manager": "readonly",
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            "LabApp.expose_app_in_browser": True,
            "LanguageServerManager.autodetect": False,
        }
        with (self._root / "jupyterlab.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyterlab"),
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
            self._stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def log(self) -> str:
        """What the server and its kernels wrote to stdout and stderr."""
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

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Watch:
    """What happened in a page that a user should know of.

    Attributes:
        console: Errors in the console, and uncaught exceptions.
        foreign: URLs of requests to anything but the Lab server. Beyond loopback they lead nowhere.
        dialogs: Messages of alert, confirm and prompt boxes, which are dismissed.
    """

    origin: str
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
        page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))
        page.on("console", lambda m: self._console(m.type, m.text, m.location))
        page.on("dialog", self._dialog)

    def _console(self, kind: str, text: str, location: Any) -> None:
        if kind == "error":
            self.console.append(f"{text} ({location.get('url', '')})")

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _request(self, url: str) -> None:
        if self._is_foreign(url):
            self.foreign.append(url)

    def _is_foreign(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme not in {"data", "blob", "about"} and parts.netloc != self.origin


class Lab:
    """A JupyterLab server and a browser to look at it.

    Loading JupyterLab takes seconds, so its page is kept from one test to the next, with all
    notebooks closed, unless something went wrong in it.

    Attributes:
        server: The server.
        watch: What happened in the pages since the last `reset`.
    """

    def __init__(self, server: LabServer, browser: Browser) -> None:
        self.server = server
        self.watch = Watch(urlsplit(server.url).netloc)
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._usual: BrowserContext | None = None  # with no options, so that other tests can use it
        self._kept: Page | None = None
        self._count = 0

    def open(
        self,
        cells: Iterable[str] | nbformat.NotebookNode = (),
        *,
        name: str = "",
        width: int = 1200,
        height: int = 1000,
        **context_options: Any,
    ) -> LabNotebook:
        """Write a notebook and open it alone in a page, with a fresh kernel.

        Args:
            cells: Sources of code cells (Markdown cells where they begin with `%%markdown`),
                or a whole notebook.
            name: The file's name, by default one of its own.
            width: The page's width in pixels.
            height: The page's height in pixels.
            context_options: Options for Playwright's `new_context`, such as
                `color_scheme="dark"`, `reduced_motion="reduce"` or `forced_colors="active"`.
        """
        self._count += 1
        path = name or f"notebook-{self._count}.ipynb"
        notebook = cells if isinstance(cells, nbformat.NotebookNode) else make_notebook(cells)
        nbformat.write(notebook, self.server.directory / path)
        size: ViewportSize = {"width": width, "height": height}
        page, self._kept = self._kept, None
        if page is not None and not context_options:
            page.set_viewport_size(size)
            return LabNotebook(self, page, path).show()
        context = self._browser.new_context(viewport=size, **context_options)
        context.set_default_timeout(milliseconds(PATIENCE))
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=self.server.url)
        context.add_init_script(_JS)
        self._contexts.append(context)
        self.watch.attach(context)
        if not context_options:
            self._usual = context
        return LabNotebook(self, context.new_page(), path).load()

    def reset(self, *, keep_page: bool = True) -> None:
        """Close all notebooks, shut down all kernels, forget settings and what was watched.

        Args:
            keep_page: Whether the page may be used again.
        """
        if keep_page and self._usual is not None and self._clear(self._usual):
            (self._kept,) = self._usual.pages
            self._contexts.remove(self._usual)
        else:
            self._usual = self._kept = None
        for context in self._contexts:
            context.close()
        self._contexts = [] if self._usual is None else [self._usual]
        self.server.shut_kernels_down()
        self.server.forget_settings()
        self.watch.forget()

    def _clear(self, context: BrowserContext) -> bool:
        """Close the notebooks in a context's page; return whether the page is then like new."""
        if self.watch.noticed or len(context.pages) != 1:
            return False
        (page,) = context.pages
        if not page.url.startswith(f"{self.server.url}lab/"):
            return False
        return bool(page.evaluate("window.runagentTest.clear()"))


class LabNotebook:
    """A notebook that is open in JupyterLab.

    Attributes:
        lab: Where it is open.
        page: Its page, for anything that has no method here.
        path: The notebook's file name in `lab.server.directory`.
    """

    def __init__(self, lab: Lab, page: Page, path: str) -> None:
        self.lab = lab
        self.page = page
        self.path = path

    def load(self) -> Self:
        """Open the page, or open it again, and wait until its kernel is idle."""
        server = self.lab.server
        # The notebook alone, without what an earlier page left in the workspace.
        self.page.goto(f"{server.url}lab/tree/{self.path}?reset&token={server.token}")
        return self._wait_until_ready()

    def show(self) -> Self:
        """Open the notebook in a page that has JupyterLab, and wait until its kernel is idle."""
        self.page.evaluate("(path) => window.runagentTest.open(path)", self.path)
        return self._wait_until_ready()

    def _wait_until_ready(self) -> Self:
        self.page.wait_for_function(
            "(path) => window.jupyterapp && window.runagentTest.ready(path)",
            arg=self.path,
            timeout=milliseconds(PATIENCE),
        )
        return self

    def reload(self) -> Self:
        """Reload the page, as F5 does; the kernel goes on. Save first what must stay."""
        return self.load()

    def start(self, command: str, **arguments: Any) -> None:
        """Execute a command of JupyterLab, such as `notebook:run-all-cells`, and return at once."""
        self.page.evaluate(
            "([command, args]) => window.runagentTest.start(command, args)", [command, arguments]
        )

    def command(self, command: str, *, timeout: float = PATIENCE, **arguments: Any) -> None:
        """Execute a command of JupyterLab and wait until it is done."""
        self.start(command, **arguments)
        self.page.wait_for_function(
            "() => !window.runagentTest.running", timeout=milliseconds(timeout)
        )

    def start_cell(self, index: int) -> None:
        """Run a cell and return at once."""
        self._activate(index)
        self.start("notebook:run-cell")

    def start_all(self) -> None:
        """Run all cells, as Run -> Run All Cells does, and return at once."""
        self.start("notebook:run-all-cells")

    def run(self, index: int, *, timeout: float = PATIENCE) -> Self:
        """Run a cell and wait until the kernel is idle."""
        self.start_cell(index)
        return self.wait_idle(timeout=timeout)

    def run_all(self, *, timeout: float = PATIENCE) -> Self:
        """Run all cells and wait until the kernel is idle."""
        self.start_all()
        return self.wait_idle(timeout=timeout)

    def wait_idle(self, *, timeout: float = PATIENCE) -> Self:
        """Wait until no cell runs or waits and the kernel is idle."""
        self.page.wait_for_function(
            "(path) => window.runagentTest.settled(path)",
            arg=self.path,
            timeout=milliseconds(timeout),
        )
        return self

    def interrupt(self) -> None:
        """Choose Kernel -> Interrupt Kernel from the menu bar."""
        self._menu("Kernel", "Interrupt Kernel")

    def restart(self) -> Self:
        """Restart the kernel and wait until it is idle."""
        self._menu("Kernel", re.compile(r"^Restart Kernel…"))
        self.page.get_by_role("button", name="Confirm Kernel Restart").click()
        self.page.wait_for_function(
            "(path) => window.runagentTest.kernel(path)?.status !== 'idle'", arg=self.path
        )
        return self.wait_idle()

    def save(self) -> nbformat.NotebookNode:
        """Save the notebook and return what the file holds now."""
        self.command("docmanager:save")
        return self.file()

    def file(self) -> nbformat.NotebookNode:
        """Return what the notebook's file holds."""
        path = self.lab.server.directory / self.path
        notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
        return notebook

    def cell(self, index: int) -> Locator:
        """Return the element of a cell, counted from 0 with Markdown cells."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Return the element that holds the outputs of a cell."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def text(self, index: int) -> str:
        """Return the text that is visible in the outputs of a cell."""
        return self.output(index).inner_text()

    def html(self, index: int) -> str:
        """Return the HTML of the outputs of a cell as it stands in the page."""
        return self.output(index).inner_html()

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Return the outputs of a cell as JSON, as they would be saved now."""
        outputs: list[dict[str, Any]] = self.page.evaluate(
            "([path, index]) => window.runagentTest.panel(path).content.widgets[index]"
            ".model.sharedModel.toJSON().outputs",
            [self.path, index],
        )
        return outputs

    def wait_for_text(
        self, index: int, text: str | re.Pattern[str], timeout: float = PATIENCE
    ) -> None:
        """Wait until the outputs of a cell show a text."""
        expect(self.output(index)).to_contain_text(text, timeout=milliseconds(timeout))

    def source(self, index: int, source: str) -> None:
        """Replace the source of a cell."""
        self.page.evaluate(
            "([path, index, source]) => window.runagentTest.panel(path).content.widgets[index]"
            ".model.sharedModel.setSource(source)",
            [self.path, index, source],
        )

    def render_all(self) -> Self:
        """Put all cells into the page, and keep them there: usually, those out of sight are not."""
        self.page.evaluate(
            """async (path) => {
              const notebook = window.runagentTest.panel(path).content;
              notebook.notebookConfig = {...notebook.notebookConfig, windowingMode: "none"};
              for (const cell of notebook.widgets) {
                await notebook.scrollToCell(cell);
                await cell.ready;
              }
            }""",
            self.path,
        )
        return self

    def theme(self, name: str) -> None:
        """Switch JupyterLab to its `light` or `dark` theme, or to `dark high contrast`."""
        themes = {
            "light": "JupyterLab Light",
            "dark": "JupyterLab Dark",
            "dark high contrast": "JupyterLab Dark High Contrast",
        }
        self.command("apputils:change-theme", theme=themes[name])
        expect(self.page.locator("body")).to_have_attribute(
            "data-jp-theme-name", themes[name], timeout=milliseconds(PATIENCE)
        )
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    def screenshot(self, name: str, *, of: Locator | None = None) -> Path:
        """Save a picture of the page, or of one element, as `.cache/screenshots/<name>.png`."""
        path = SCREENSHOTS / f"{name}.png"
        (of or self.page).screenshot(path=path, animations="disabled")
        return path

    def _activate(self, index: int) -> None:
        self.page.evaluate(
            """([path, index]) => {
              const panel = window.runagentTest.panel(path);
              window.jupyterapp.shell.activateById(panel.id);
              panel.content.deselectAll();
              panel.content.activeCellIndex = index;
            }""",
            [self.path, index],
        )

    def _menu(self, menu: str, item: str | re.Pattern[str]) -> None:
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        self.page.get_by_role("menuitem", name=item).click()


@contextmanager
def running_lab(environment: dict[str, str] | None = None) -> Iterator[Lab]:
    """Start a JupyterLab and a chromium in a temporary directory, outside of tests."""
    with (
        tempfile.TemporaryDirectory() as root,
        LabServer(Path(root), environment=environment) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=chromium_path(), args=chromium_arguments()
        ) as browser,
    ):
        yield Lab(server, browser)


def make_notebook(cells: Iterable[str]) -> nbformat.NotebookNode:
    """Return a notebook with these cells, whose common indentation is removed, and no outputs."""
    marker = "%%markdown\n"
    sources = [dedent(cell).strip() for cell in cells]
    notebook: nbformat.NotebookNode = new_notebook(
        cells=[
            new_markdown_cell(source.removeprefix(marker))
            if source.startswith(marker)
            else new_code_cell(source)
            for source in sources
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    return notebook
