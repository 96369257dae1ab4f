"""JupyterLab as `python -m jupyterlab` starts it, but its kernels are forks, as those of `Kernel` are.

The first argument is the file to which the kernels append what they write to stdout and stderr; JupyterLab gets the others.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.connect import LocalPortCache
from jupyter_client.provisioning import local_provisioner
from jupyterlab.labapp import LabApp

sys.path[0] = str(Path(__file__).parents[1])  # this is a script, whose directory stands there

from support.kernel_nursery import start_kernel  # noqa: E402
from support.ports import free_port  # noqa: E402


class ForkedKernel:
    """A kernel with the methods and attributes of `subprocess.Popen` that jupyter_client uses."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._process = psutil.Process(pid)

    def poll(self) -> int | None:
        """Return `None` while it runs."""
        return None if self._process.is_running() else 0

    def wait(self) -> None:
        """Wait for its end."""
        self._process.wait()

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.send_signal(number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class KernelPorts(LocalPortCache):
    """Ports for kernels that no other program is given by chance before a kernel binds them.

    Sockets in the file system would do as well, but hold fewer messages: a server that is busy for a
    moment would miss some.
    """

    def find_available_port(self, ip: str) -> int:
        """Return a port that no kernel of this server has."""
        while (port := free_port()) in self.currently_used_ports:
            pass
        self.currently_used_ports.add(port)
        return port


def main(log: Path, arguments: list[str]) -> None:
    """Run JupyterLab until it ends."""

    def launch_kernel(
        command: list[str], *, env: dict[str, str], cwd: str, **_: Any
    ) -> ForkedKernel:
        arguments = command[command.index("ipykernel_launcher") + 1 :]
        pid = start_kernel(arguments, environment=env, cwd=Path(cwd), log=log, fresh=False)
        return ForkedKernel(pid)

    vars(local_provisioner).update(launch_kernel=launch_kernel, LocalPortCache=KernelPorts)
    LabApp.launch_instance(arguments)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
