"""Runs cells in a real Qt console, and then prints all that it shows; its arguments are the cells."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from qtconsole.manager import QtKernelManager
from qtconsole.rich_jupyter_widget import RichJupyterWidget
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

sys.path[0] = str(Path(__file__).parents[1])  # this is a script, whose directory stands there

from support.clock import TICK, milliseconds  # noqa: E402


def main(cells: list[str]) -> None:
    """Run the cells one after the other, each when the prompt for it is there."""
    application = QApplication([])
    manager = QtKernelManager()
    manager.start_kernel()
    console = RichJupyterWidget()
    console.kernel_manager = manager
    client = manager.client()
    client.start_channels()
    console.kernel_client = client
    waiting = iter(cells)

    def go_on() -> None:
        if not re.search(r"In \[\d+\]: $", console._control.toPlainText()):
            return
        cell = next(waiting, None)
        if cell is None:
            application.quit()
        else:
            console.execute(cell)

    timer = QTimer()
    timer.timeout.connect(go_on)
    timer.start(int(milliseconds(TICK)))
    application.exec()
    print(console._control.toPlainText())
    client.stop_channels()
    manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main(sys.argv[1:])
