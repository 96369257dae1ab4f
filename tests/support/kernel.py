"""A real ipykernel of this environment, and what a front end would see of it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import zmq
from jupyter_client.connect import write_connection_file
from jupyter_client.session import Session
from typing_extensions import Self

from support.clock import PATIENCE, TICK, stretched
from support.execution import Execution, FrontEnd, KernelTimeoutError, Message
from support.isolation import isolated_environment
from support.kernel_nursery import start_kernel

IPYKERNEL_VERSION = tuple(int(part) for part in version("ipykernel").split(".")[:2])
"""The (major, minor) version of the ipykernel that tests run against."""


class Kernel:
    """A running ipykernel of this Python environment, in a home of its own.

    Use it as a context manager. All methods but `interrupt` and `cpu_seconds` belong to one thread.

    Attributes:
        messages: Everything that came on iopub, whatever caused it.
        executions: Every cell that was sent, in order.
    """

    def __init__(
        self,
        root: Path,
        *,
        environment: dict[str, str] | None = None,
        cwd: Path | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """Prepare a kernel; entering the context starts it.

        Args:
            root: A directory for the kernel's home.
            environment: Variables to set on top of an isolated environment; with them, the kernel is
                a new Python, not a fork of one that has imported ipykernel.
            cwd: Its working directory, by default `root`.
            arguments: More arguments for ipykernel.
        """
        self.messages: list[Message] = []
        self.executions: list[Execution] = []
        self._root = root
        self._cwd = cwd or root
        self._environment = isolated_environment(root) | (environment or {})
        self._fresh = environment is not None
        self._arguments = list(arguments)
        self._by_id: dict[str, Execution] = {}
        self._front_end = FrontEnd()
        self._changed = threading.Condition()
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        # IPC sockets need no free port, so two runs never meet; their paths must be short.
        self._sockets = Path(tempfile.mkdtemp(prefix="kernel-"))
        connection_file, connection = write_connection_file(
            str(self._sockets / "connection.json"),
            transport="ipc",
            ip=str(self._sockets / "channel"),
            key=secrets.token_hex().encode(),
        )
        self._connection: dict[str, Any] = {**connection}
        self._session = Session(key=connection["key"].encode())
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        pid = start_kernel(
            ["-f", connection_file, *self._arguments],
            environment=self._environment,
            cwd=self._cwd,
            log=self._root / "kernel.log",
            fresh=self._fresh,
        )
        self._process = psutil.Process(pid)
        try:
            self._connect()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def execute(
        self,
        code: str,
        *,
        timeout: float = PATIENCE,
        stdin: Sequence[str] = (),
        stop_on_error: bool = True,
    ) -> Execution:
        """Run a cell and wait until it is done, whether it succeeds or fails.

        Args:
            code: The cell's source.
            timeout: Seconds until the wait fails.
            stdin: Answers for what the cell asks with `input` or `getpass`, in order.
            stop_on_error: Whether a failure cancels the cells queued behind it, as in "Run All".
        """
        return self.submit(code, stdin=stdin, stop_on_error=stop_on_error).wait(timeout)

    def submit(
        self,
        code: str,
        *,
        stdin: Sequence[str] = (),
        stop_on_error: bool = True,
        subshell: str | None = None,
        expressions: dict[str, str] | None = None,
    ) -> Execution:
        """Send a cell and return at once.

        Args:
            code: The cell's source.
            stdin: Answers for what the cell asks, in order.
            stop_on_error: Whether a failure cancels the cells queued behind it.
            subshell: The id of the subshell to run it in, by default the main shell.
            expressions: User expressions by name; the reply has their values.
        """
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": expressions or {},
            "allow_stdin": True,
            "stop_on_error": stop_on_error,
        }
        message = self._session.msg("execute_request", content)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        execution = Execution(code, message["header"]["msg_id"], self, list(stdin))
        self.executions.append(execution)
        self._by_id[execution.msg_id] = execution
        self._session.send(self._shell, message)
        return execution

    def create_subshell(self) -> str:
        """Create a subshell, which ipykernel has from version 7 on, and return its id."""
        self._session.send(self._control, "create_subshell_request", {})
        assert self._control.poll(1000 * PATIENCE)
        reply = self._receive(self._control)
        assert reply is not None
        return str(reply["content"]["subshell_id"])

    def run_all(self, *cells: str, timeout: float = PATIENCE) -> list[Execution]:
        """Queue cells at once, as "Run All" does, and wait until all are done."""
        executions = [self.submit(cell) for cell in cells]
        for execution in executions:
            execution.wait(timeout)
        return executions

    def value(self, expression: str, *, timeout: float = PATIENCE) -> Any:
        """Evaluate an expression in the kernel and return its value, sent as JSON.

        `_`, `In` and `Out` stay as they are.
        """
        code = f"__import__('json').dumps({expression})"
        reply = self._run_silently(expression, {"value": code}, timeout)
        answer = reply["user_expressions"]["value"]
        if answer["status"] != "ok":
            raise AssertionError(f"{expression}: {answer['ename']}: {answer['evalue']}")
        return json.loads(eval(answer["data"]["text/plain"]))  # a quoted string

    def wait_until_it_accepts_cells(self) -> None:
        """Wait until the kernel runs cells again, after one that failed.

        ipykernel before 6.31 also aborts cells that come shortly after the failure.
        """
        while IPYKERNEL_VERSION < (6, 31):
            if self._run_silently("nothing", {}, PATIENCE)["status"] != "aborted":
                return

    def _run_silently(
        self, name: str, expressions: dict[str, str], timeout: float
    ) -> dict[str, Any]:
        content = {
            "code": "",
            "silent": True,
            "store_history": False,
            "user_expressions": expressions,
            "allow_stdin": False,
        }
        message = self._session.msg("execute_request", content)
        execution = Execution(name, message["header"]["msg_id"], self)
        self._by_id[execution.msg_id] = execution
        self._session.send(self._shell, message)
        reply = execution.wait(timeout).reply
        assert reply is not None
        return reply

    def send_comm(
        self,
        kind: str,
        content: dict[str, Any],
        *,
        buffers: Sequence[bytes] = (),
        subshell: str | None = None,
    ) -> str:
        """Send `comm_open`, `comm_msg` or `comm_close` as a widget's page would.

        Args:
            kind: The type of the message.
            content: Its content.
            buffers: Its binary parts.
            subshell: The id of the subshell to handle it in, by default the main shell.

        Returns:
            The message's id, the `parent` of what it causes.
        """
        message = self._session.msg(kind, content)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._session.send(self._shell, message, buffers=list(buffers))
        return str(message["header"]["msg_id"])

    def comm_messages(self, comm_id: str) -> list[Message]:
        """Return what the kernel has sent for a comm: its open, messages and close."""
        with self._changed:
            return [m for m in self.messages if m.content.get("comm_id") == comm_id]

    def interrupt(self) -> None:
        """Interrupt the kernel as Kernel -> Interrupt does: SIGINT to its process group."""
        os.killpg(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """End the kernel at once, and wait until it has ended."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def shutdown(self, timeout: float = PATIENCE) -> None:
        """Ask the kernel to shut down, as Kernel -> Shut Down does, and wait until it has.

        Raises:
            KernelTimeoutError: It is still running after `timeout` seconds.
        """
        self._session.send(self._control, "shutdown_request", {"restart": False})
        try:
            self._process.wait(timeout)
        except psutil.TimeoutExpired:
            raise KernelTimeoutError(
                f"The kernel still runs {timeout} s after it was asked to shut down.\n{self.log}"
            ) from None

    @property
    def pid(self) -> int:
        """The process id of the kernel, which leads a process group of its own."""
        return int(self._process.pid)

    @property
    def alive(self) -> bool:
        """Whether the kernel process runs."""
        return bool(self._process.is_running())

    @property
    def log(self) -> str:
        """The text that the kernel process wrote to its own stdout and stderr."""
        return (self._root / "kernel.log").read_text(errors="replace")

    def cpu_seconds(self) -> float:
        """Return the CPU time that the kernel process has used so far, in seconds."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def wait_for(self, condition: Any, timeout: float, what: str = "a condition") -> None:
        """Wait until `condition()` is true, while messages come in.

        Raises:
            KernelTimeoutError: It is not true after `timeout` seconds, or the kernel died.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._receive_replies()
            with self._changed:
                if condition():
                    return
                if time.monotonic() > deadline or not self.alive:
                    break
                self._changed.wait(TICK)
        state = "is running" if self.alive else "died"
        shown = json.dumps([e.outputs for e in self.executions[-3:]], ensure_ascii=False)[-3000:]
        raise KernelTimeoutError(
            f"Waited {timeout} s for {what}. The kernel {state}.\n"
            f"Outputs of the last cells: {shown}\nIts log: {self.log[-3000:]}"
        )

    def _connect(self) -> None:
        # The kernel asks for input on the identity that sent the request.
        self._shell = self._socket("shell", zmq.DEALER, self._session.bsession)
        self._stdin = self._socket("stdin", zmq.DEALER, self._session.bsession)
        self._control = self._socket("control", zmq.DEALER, self._session.bsession)
        self._iopub = self._socket("iopub", zmq.SUB)
        self._iopub.subscribe(b"")
        self._reader = threading.Thread(target=self._read_iopub, name="iopub", daemon=True)
        self._reader.start()
        # iopub is connected when the first cell's messages have come: earlier ones may be lost.
        deadline = time.monotonic() + PATIENCE
        while True:
            execution = self.submit("")
            self.executions.clear()
            with contextlib.suppress(KernelTimeoutError):
                execution.wait(stretched(5 if execution.reply is None else 1))
                break
            if time.monotonic() > deadline or not self.alive:
                raise KernelTimeoutError(f"The kernel did not start. Its log:\n{self.log}")

    def _socket(self, channel: str, kind: int, identity: bytes = b"") -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.linger = 0
        socket.rcvhwm = 0
        if identity:
            socket.identity = identity
        socket.connect(f"ipc://{self._connection['ip']}-{self._connection[f'{channel}_port']}")
        return socket

    def _receive_replies(self) -> None:
        while reply := self._receive(self._shell):
            execution = self._by_id.get(reply["parent_header"].get("msg_id", ""))
            if execution is not None and reply["msg_type"] == "execute_reply":
                execution.reply = reply["content"]
        while request := self._receive(self._stdin):
            execution = self._by_id[request["parent_header"]["msg_id"]]
            execution.prompts.append(request["content"]["prompt"])
            if not execution.stdin:
                raise AssertionError(f"Nothing to answer to {request['content']['prompt']!r}")
            answer = {"value": execution.stdin.pop(0)}
            self._session.send(self._stdin, "input_reply", answer, parent=request)

    def _receive(self, socket: zmq.Socket[bytes]) -> dict[str, Any] | None:
        """Return the message that waits in a socket, `None` if there is none."""
        return self._session.recv(socket)[1]

    def _read_iopub(self) -> None:
        # A front end of a busy kernel never stops reading, or messages would be dropped.
        session = self._session
        while not self._stopping.is_set():
            if not self._iopub.poll(50):
                continue
            frames = self._iopub.recv_multipart()
            received = time.monotonic()
            _, parts = session.feed_identities(frames)
            raw = session.deserialize(parts)
            message = Message(
                raw["msg_type"],
                raw["content"],
                raw["parent_header"].get("msg_id", ""),
                sum(len(frame) for frame in frames),
                received,
                tuple(bytes(buffer) for buffer in raw["buffers"]),
            )
            with self._changed:
                self._keep(message, raw)
                self._changed.notify_all()

    def _keep(self, message: Message, raw: dict[str, Any]) -> None:
        self.messages.append(message)
        execution = self._by_id.get(message.parent)
        if execution is not None:
            execution.messages.append(message)
            if message.type == "status" and message.content["execution_state"] == "idle":
                execution.idle = True
        self._front_end.apply(raw, execution)

    def _close(self) -> None:
        self._stopping.set()
        if hasattr(self, "_reader"):
            self._reader.join(PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._context.destroy(linger=0)
        shutil.rmtree(self._sockets, ignore_errors=True)


@contextlib.contextmanager
def running_kernel(root: Path, **options: Any) -> Iterator[Kernel]:
    """Start a kernel in a new directory below `root`, and stop it afterwards."""
    directory = root / f"kernel-{os.getpid()}-{time.monotonic_ns()}"
    directory.mkdir(parents=True)
    with Kernel(directory, **options) as kernel:
        yield kernel
