"""`Kernel` shows what a real front end would see."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from support.clock import MOMENT, PATIENCE, SOON, STRETCH_VARIABLE, until
from support.execution import KernelTimeoutError
from support.kernel import Kernel


def test_a_cell_prints(shared_kernel: Kernel) -> None:
    cell = shared_kernel.execute("print(1 + 1)")
    assert cell.status == "ok"
    assert cell.stdout == "2\n"
    assert cell.outputs == [{"output_type": "stream", "name": "stdout", "text": "2\n"}]


def test_it_is_the_ipykernel_of_this_environment(shared_kernel: Kernel) -> None:
    shared_kernel.execute("import sys, ipykernel").ok()
    assert shared_kernel.value("ipykernel.__version__") == version("ipykernel")
    assert shared_kernel.value("list(sys.version_info[:2])") == list(os.sys.version_info[:2])  # type: ignore[attr-defined]


def test_a_value_leaves_the_last_result_alone(shared_kernel: Kernel) -> None:
    shared_kernel.execute("'kept'").ok()
    assert shared_kernel.value("1 + 1") == 2
    assert shared_kernel.value("_") == "kept"


def test_nothing_of_the_user_is_seen(
    start_kernel: Callable[..., Kernel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNAGENT_API_KEY", "key-of-the-user")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    kernel = start_kernel(environment={"RUNAGENT_TIMEOUT": "7"})
    kernel.execute("import os, pathlib, jupyter_core.paths as paths, IPython.paths").ok()
    assert kernel.value("{k: v for k, v in os.environ.items() if k.startswith('RUNAGENT_')}") == {
        "RUNAGENT_TIMEOUT": "7",
        STRETCH_VARIABLE: os.environ[STRETCH_VARIABLE],
    }
    assert kernel.value("os.environ.get('HTTPS_PROXY')") is None
    for place in (
        "pathlib.Path.home()",
        "paths.jupyter_runtime_dir()",
        "paths.jupyter_data_dir()",
        "IPython.paths.get_ipython_dir()",
    ):
        assert Path(kernel.value(f"str({place})")).is_relative_to(tmp_path)


_SEEN_INSIDE = (
    *("sys.argv[0]", "sys.path", "sys.flags", "signal.getsignal(2)", "signal.getsignal(17)"),
    *("os.listdir()", "os.getpgrp() == os.getsid(0) == os.getpid()", "sorted(os.environ)"),
    *(
        "len(threading.enumerate())",
        "os.path.realpath('/dev/fd/0')",
        "sorted({*sys.modules} - {'gc'})",
    ),
)


def test_a_fork_is_like_a_new_kernel(start_kernel: Callable[..., Kernel]) -> None:
    seen = []
    for kernel in start_kernel(), start_kernel(environment={}):
        kernel.execute("import os, signal, sys, threading").ok()
        seen.append({text: kernel.value(f"str({text})") for text in _SEEN_INSIDE})
    fork, new = seen
    assert fork == new


def test_outputs_are_as_they_would_be_saved(shared_kernel: Kernel) -> None:
    cell = shared_kernel.execute(
        """
        from IPython.display import HTML, clear_output, display
        print("gone")
        clear_output(wait=True)
        handle = display(HTML("<b>first</b>"), display_id=True)
        print("a", end=""); print("b")
        handle.update(HTML("<b>second</b>"))
        6 * 7
        """
    ).ok()
    assert [output["output_type"] for output in cell.outputs] == [
        "display_data",
        "stream",
        "execute_result",
    ]
    assert cell.data("text/html") == ["<b>second</b>"]
    assert cell.stdout == "ab\n"
    assert cell.data("text/plain")[-1] == "42"
    assert len(cell.of_type("display_data", "update_display_data")) == 2
    later = shared_kernel.execute("handle.update(HTML('<b>third</b>'))").ok()
    assert later.outputs == []
    assert cell.data("text/html") == ["<b>third</b>"]


def test_clear_output_without_wait_clears_at_once(shared_kernel: Kernel) -> None:
    cell = shared_kernel.execute(
        "from IPython.display import clear_output\nprint('gone')\nclear_output()"
    )
    assert cell.outputs == []


def test_bytes_count_what_crossed_the_wire(shared_kernel: Kernel) -> None:
    small = shared_kernel.execute("print('x')")
    large = shared_kernel.execute("print('x' * 100_000)")
    assert 100_000 < large.bytes - small.bytes + 1 < 101_000


def test_nothing_is_lost_in_a_flood(shared_kernel: Kernel) -> None:
    # Otherwise the kernel drops messages itself, once a thousand of them wait to be sent.
    unlimited = "thread.schedule(lambda: setattr(thread.socket, 'sndhwm', 0))"
    shared_kernel.execute(f"thread = get_ipython().kernel.iopub_thread\n{unlimited}").ok()
    cell = shared_kernel.execute(
        "from IPython.display import display\nfor i in range(2_000): display(i)", timeout=PATIENCE
    ).ok()
    assert cell.data("text/plain") == [str(i) for i in range(2_000)]


def test_messages_are_stamped_as_they_come(shared_kernel: Kernel) -> None:
    cell = shared_kernel.execute(
        "import time\nprint('a', flush=True)\ntime.sleep(0.5)\nprint('b', flush=True)"
    ).ok()
    first, *_, last = cell.of_type("stream")
    assert cell.sent < first.received <= last.received - 0.4


def test_a_failing_cell_stops_those_behind_it(shared_kernel: Kernel, tmp_path: Path) -> None:
    queued = tmp_path / "queued"
    failing = f"while not __import__('os').path.exists({str(queued)!r}): pass\n1 / 0"
    cells = [shared_kernel.submit(code) for code in ("print('a')", failing, "print('b')")]
    time.sleep(MOMENT)  # the last one is on its way
    queued.touch()
    for cell in cells:
        cell.wait()
    assert [cell.status for cell in cells] == ["ok", "error", "aborted"]
    assert cells[1].error is not None
    assert cells[1].error["ename"] == "ZeroDivisionError"
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        cells[1].ok()
    assert shared_kernel.execute("print('again')").stdout == "again\n"


def test_an_interrupt_ends_a_cell(shared_kernel: Kernel) -> None:
    cell = shared_kernel.submit("import time\nprint('begun', flush=True)\ntime.sleep(36_000)")
    cell.wait_for_output("begun")
    shared_kernel.interrupt()
    assert cell.wait().error is not None
    assert cell.error is not None
    assert cell.error["ename"] == "KeyboardInterrupt"


def test_an_interrupt_comes_from_another_thread(shared_kernel: Kernel, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def interrupt() -> None:
        until(begun.exists)
        shared_kernel.interrupt()

    threading.Thread(target=interrupt).start()
    cell = shared_kernel.execute(
        f"import time; open({str(begun)!r}, 'w').close(); time.sleep(36_000)"
    )
    assert cell.error is not None
    assert cell.error["ename"] == "KeyboardInterrupt"


def test_input_is_answered(shared_kernel: Kernel) -> None:
    cell = shared_kernel.execute(
        "from getpass import getpass\nanswer = input('name? '), getpass('key? ')",
        stdin=["Ada", "secret"],
    ).ok()
    assert cell.prompts == ["name? ", "key? "]
    assert shared_kernel.value("answer") == ["Ada", "secret"]


def test_a_comm_is_heard_and_answered(shared_kernel: Kernel) -> None:
    shared_kernel.execute(
        """
        def opened(comm, message):
            comm.on_msg(lambda message: comm.send({"echo": message["content"]["data"]}))
        get_ipython().kernel.comm_manager.register_target("echo", opened)
        """
    ).ok()
    shared_kernel.send_comm("comm_open", {"comm_id": "c1", "target_name": "echo", "data": {}})
    shared_kernel.send_comm("comm_msg", {"comm_id": "c1", "data": {"n": 1}})
    shared_kernel.wait_for(lambda: shared_kernel.comm_messages("c1"), PATIENCE)
    assert shared_kernel.comm_messages("c1")[0].content["data"] == {"echo": {"n": 1}}


def test_cpu_time_is_the_kernels(shared_kernel: Kernel) -> None:
    before = shared_kernel.cpu_seconds()
    shared_kernel.execute("import time; time.sleep(0.5)").ok()
    idle = shared_kernel.cpu_seconds() - before
    shared_kernel.execute(
        "start = time.process_time()\nwhile time.process_time() < start + 0.6: pass"
    ).ok()
    assert shared_kernel.cpu_seconds() - before - idle >= 0.5 > idle


def test_a_cell_that_takes_too_long_is_reported(kernel: Kernel) -> None:
    cell = kernel.submit("import time\nprint('begun', flush=True)\ntime.sleep(36_000)")
    cell.wait_for_output("begun")
    with pytest.raises(KernelTimeoutError, match=r"(?s)is running.*begun"):
        cell.wait(MOMENT)


def test_a_dead_kernel_is_reported(kernel: Kernel) -> None:
    started = time.monotonic()
    with pytest.raises(KernelTimeoutError, match="died"):
        kernel.execute("import os; os._exit(1)", timeout=PATIENCE)
    assert time.monotonic() - started < SOON


def test_a_kernel_shuts_down_when_asked(kernel: Kernel) -> None:
    kernel.execute("1")
    kernel.shutdown()
