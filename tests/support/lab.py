"""A real JupyterLab on loopback in a real chromium, and what its user does and sees."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import urlsplit

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    ViewportSize,
    expect,
)
from typing_extensions import Self

from support.chromium import running_chromium
from support.clock import PATIENCE, TICK, milliseconds
from support.lab_server import LabServer, Watch

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / ".cache" / "screenshots"

# Finds the notebook at `path` in the page's JupyterLab, and its kernel.
_JS = """
window.runagentTest = {
  done: [],  // of each command that was started
  widgets() {
    const found = window.jupyterapp.shell.widgets("main");
    if (found[Symbol.iterator]) return [...found];
    const all = [];  // an iterator of JupyterLab 3 has only `next`
    for (let widget; (widget = found.next()); ) all.push(widget);
    return all;
  },
  panel(path) {
    return this.widgets().find((w) => w.context?.path === path && w.content?.widgets);
  },
  kernel(path) { return this.panel(path)?.sessionContext?.session?.kernel; },
  shown(path) {
    const panel = this.panel(path);
    return !!panel && panel.context.isReady && panel.isVisible;
  },
  ready(path) {
    return this.shown(path) && this.panel(path).sessionContext.isReady
      && this.kernel(path)?.status === "idle";
  },
  settled(path) {
    const kernel = this.kernel(path);
    if (kernel?.status !== "idle" || !this.done.every(Boolean)) return false;
    return this.panel(path).content.widgets.every(
      (cell) => cell.model.type !== "code" || cell.model.executionState !== "running");
  },
  expectRestart(path) {
    this.restarting = false;
    this.kernel(path).statusChanged.connect((_, status) => { this.restarting ||= status !== "idle"; });
  },
  open(path) { this.start("docmanager:open", {path}); },
  async clear() {
    const {commands} = window.jupyterapp;
    for (const widget of this.widgets()) widget.dispose();  // asks nothing, saves nothing
    if (document.body.dataset.jpThemeName !== "JupyterLab Light")
      await commands.execute("apputils:change-theme", {theme: "JupyterLab Light"});
    return !document.querySelector(".jp-Dialog");
  },
  start(command, args) {
    const index = this.done.push(false) - 1;
    window.jupyterapp.commands.execute(command, args ?? {})
      .catch((error) => console.error(`${command}: ${error}`))
      .finally(() => { this.done[index] = true; });
    return index;
  },
};
"""


_USUAL_MEDIA = {
    "color_scheme": "light",
    "reduced_motion": "no-preference",
    "forced_colors": "none",
}


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
        place = urlsplit(server.url)
        self.watch = Watch(place.netloc, place.path)
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._kept: Page | None = None
        self._count = 0

    def open(
        self,
        cells: Iterable[str] | nbformat.NotebookNode = (),
        *,
        name: str = "",
        width: int = 1200,
        height: int = 1000,
        **media: Any,
    ) -> LabNotebook:
        """Write a notebook and open it alone in a page, with a fresh kernel.

        Args:
            cells: Sources of code cells (Markdown cells where they begin with `%%markdown`),
                or a whole notebook.
            name: The file's name, by default one of its own.
            width: The page's width in pixels.
            height: The page's height in pixels.
            media: What the page is told of its user's system: `color_scheme="dark"`,
                `reduced_motion="reduce"` or `forced_colors="active"`.
        """
        self._count += 1
        path = name or f"notebook-{self._count}.ipynb"
        notebook = cells if isinstance(cells, nbformat.NotebookNode) else make_notebook(cells)
        nbformat.write(notebook, self.server.directory / path)
        size: ViewportSize = {"width": width, "height": height}
        page, self._kept = self._kept, None
        is_new = page is None
        if page is None:
            page = self._new_page()
        page.set_viewport_size(size)
        page.emulate_media(**(_USUAL_MEDIA | media))
        opened = LabNotebook(self, page, path)
        return opened.load() if is_new else opened.show()

    def _new_page(self) -> Page:
        context = self._browser.new_context()
        context.set_default_timeout(milliseconds(PATIENCE))
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=self.server.url)
        context.add_init_script(_JS)
        self._contexts.append(context)
        self.watch.attach(context)
        return context.new_page()

    def reset(self, *, keep_page: bool = True) -> None:
        """Close all notebooks, shut down all kernels, forget settings and what was watched.

        Args:
            keep_page: Whether the page may be used again.
        """
        kept = self._contexts[:1] if keep_page and self._is_cleared() else []
        for context in self._contexts[len(kept) :]:
            context.close()
        self._contexts = kept
        self._kept = kept[0].pages[0] if kept else None
        self.server.shut_kernels_down()
        self.server.forget_settings()
        self.watch.forget()

    def _is_cleared(self) -> bool:
        """Close the notebooks in the first page; return whether it is then like new."""
        if self.watch.noticed or not self._contexts or len(self._contexts[0].pages) != 1:
            return False
        (page,) = self._contexts[0].pages
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

    def load(self, *, busy: bool = False) -> Self:
        """Open the page, or open it again, and wait until its kernel is idle.

        Args:
            busy: Whether the kernel is at work: the notebook is waited for alone, as a kernel
                says nothing to a new page before it is idle.
        """
        server = self.lab.server
        # The notebook alone, without what an earlier page left in the workspace.
        self.page.goto(f"{server.url}lab/tree/{self.path}?reset&token={server.token}")
        return self._wait_until("shown" if busy else "ready")

    def show(self) -> Self:
        """Open the notebook in a page that has JupyterLab, and wait until its kernel is idle."""
        self.page.evaluate("(path) => window.runagentTest.open(path)", self.path)
        return self._wait_until("ready")

    def _wait_until(self, state: str) -> Self:
        condition = "([state, path]) => window.jupyterapp && window.runagentTest[state](path)"
        self._wait_for(condition, [state, self.path])
        return self

    def _wait_for(self, condition: str, argument: Any = None, timeout: float = PATIENCE) -> None:
        """Wait until a condition holds in the page."""
        # By default, Playwright looks with every frame, and has chromium draw 60 of them a second.
        self.page.wait_for_function(
            condition,
            arg=argument,
            timeout=milliseconds(timeout),
            polling=milliseconds(5 * TICK),
        )

    def reload(self, *, busy: bool = False) -> Self:
        """Reload the page, as F5 does; the kernel goes on. Save first what must stay.

        Args:
            busy: Whether the kernel is at work, as for `load`.
        """
        return self.load(busy=busy)

    def start(self, command: str, **arguments: Any) -> int:
        """Execute a command of JupyterLab, such as `notebook:run-all-cells`.

        Returns:
            Its index in `runagentTest.done` in the page, at once.
        """
        index: int = self.page.evaluate(
            "([command, args]) => window.runagentTest.start(command, args)", [command, arguments]
        )
        return index

    def command(self, command: str, *, timeout: float = PATIENCE, **arguments: Any) -> None:
        """Execute a command of JupyterLab and wait until it is done."""
        index = self.start(command, **arguments)
        self._wait_for("(index) => window.runagentTest.done[index]", index, timeout)

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
        self._wait_for("(path) => window.runagentTest.settled(path)", self.path, timeout)
        return self

    def interrupt(self) -> None:
        """Choose Kernel -> Interrupt Kernel from the menu bar."""
        self._menu("Kernel", "Interrupt Kernel")

    def restart(self) -> Self:
        """Restart the kernel and wait until it is idle."""
        self.page.evaluate("(path) => window.runagentTest.expectRestart(path)", self.path)
        self._menu("Kernel", re.compile(r"^Restart Kernel…"))
        self.page.get_by_role("button", name="Confirm Kernel Restart").click()
        self._wait_for("() => window.runagentTest.restarting")
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
        # The page may have another notebook, in a tab behind this one.
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell").nth(index)

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

    def reload_with_chats(self) -> Self:
        """Reload the page with all its cells, and again if JupyterLab gives up on its widgets.

        While a page with much in it loads on a busy machine, JupyterLab at times says that it found
        no model for widgets whose models it then loads. Only another reload shows them.
        """
        lost = self.page.get_by_text("Error displaying widget: model not found")
        console = self.lab.watch.console
        for _ in range(5):
            self.reload().render_all()
            expect(lost.or_(self.page.locator(".runagent-chat")).first).to_be_attached()
            if not lost.count():
                break
            console[:] = [text for text in console if "widget model not found" not in text]
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
        running_chromium() as browser,
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
