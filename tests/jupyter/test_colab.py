"""In Google Colab, whose front end a small package stands in for: its secrets and its widgets."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.clock import MOMENT
from support.kernel import Kernel, running_kernel

USERDATA = """
class TimeoutException(Exception): pass
class SecretNotFoundError(Exception): pass

asked = []
KEY = answer = "planted-key-colab"

def get(name):
    asked.append(name)
    if callable(answer):
        answer()
    if isinstance(answer, Exception):
        raise answer
    return answer
"""
OUTPUT = """
from google.colab.output import _widgets

def enable_custom_widget_manager():
    _widgets._installed_url = "https://widgets.invalid/manager.js"
"""
SOURCE = "RUNAGENT_API_KEY among Colab's secrets"
START = """
import os
from google.colab import userdata
from runagent_jupyter import AgentWidget, colab
colab.forget_secret()
userdata.asked.clear()
os.environ.pop("RUNAGENT_API_KEY", None)
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    root = tmp_path_factory.mktemp("colab")
    package = root / "site" / "google" / "colab"
    (package / "output").mkdir(parents=True)
    (package / "__init__.py").write_text("from google.colab import output\n")
    (package / "userdata.py").write_text(USERDATA)
    (package / "output" / "__init__.py").write_text(OUTPUT)
    (package / "output" / "_widgets.py").write_text("_installed_url = None\n")
    with running_kernel(root, environment={"PYTHONPATH": str(root / "site")}) as kernel:
        kernel.execute("%load_ext runagent_jupyter").ok()
        yield kernel


@pytest.fixture
def kernel(shared: Kernel) -> Kernel:
    shared.execute(f"{START}userdata.answer = userdata.KEY").ok()
    return shared


def key_line(kernel: Kernel) -> str:
    said = kernel.execute("%runagent_config").ok().stdout
    return next(line for line in said.splitlines() if line.startswith("api_key"))


def test_the_secret_is_the_key_of_cells_and_chats(kernel: Kernel) -> None:
    assert key_line(kernel) == f"api_key   from {SOURCE}"
    kernel.execute("w = AgentWidget('agent-1')\nv = %runagent agent-1 --widget").ok()
    assert kernel.value("[c.client.api_key_source for c in (w, v)]") == [SOURCE] * 2
    sent = "[c.client.resolved_arguments()['api_key'] == userdata.answer for c in (w, v)]"
    assert kernel.value(sent) == [True, True]
    assert set(kernel.value("userdata.asked")) == {"RUNAGENT_API_KEY"}
    cell = kernel.execute("%%runagent agent-1 --base-url https://agents.invalid --timeout 5\nhi")
    assert "NetworkError" in "".join((cell.error or {})["traceback"])
    kernel.execute("%tb")
    assert "planted-key-colab" not in json.dumps([m.content for m in kernel.messages])


def test_a_nearer_key_counts_more_and_colab_is_not_asked(kernel: Kernel) -> None:
    kernel.execute("w = AgentWidget('agent-1', api_key='given')").ok()
    assert kernel.value("w.client.api_key_source") == "the api_key argument"
    kernel.execute("w = AgentWidget('demo')\nx = %runagent demo hi\n").ok()
    kernel.execute("w = AgentWidget('agent-1', base_url='http://127.0.0.1:9')").ok()
    kernel.execute("os.environ['RUNAGENT_API_KEY'] = 'of-the-environment'").ok()
    assert key_line(kernel) == "api_key   from RUNAGENT_API_KEY"
    assert kernel.value("userdata.asked") == []
    kernel.execute("%runagent_config --key", stdin=["entered-by-hand"]).ok()
    assert key_line(kernel) == "api_key   entered in this notebook"
    assert kernel.value("userdata.asked") == []
    kernel.execute("%runagent_config --reset").ok()


def test_it_counts_more_than_the_configuration_file(kernel: Kernel) -> None:
    kernel.execute(
        """
        import json, pathlib
        file = pathlib.Path.home() / ".runagent" / "config.json"
        file.parent.mkdir()
        file.write_text(json.dumps({"api_key": "of-the-file"}))
        file.chmod(0o600)
        """
    ).ok()
    try:
        assert key_line(kernel) == f"api_key   from {SOURCE}"
        kernel.execute("userdata.answer = userdata.SecretNotFoundError()").ok()
        assert key_line(kernel).endswith("config.json")
    finally:
        kernel.execute("file.unlink()\nfile.parent.rmdir()").ok()


@pytest.mark.parametrize(
    "answer",
    ["userdata.SecretNotFoundError()", "ValueError('odd')", "''", "None", "7", "lambda: 1 / 0"],
)
def test_without_a_secret_it_is_as_elsewhere_and_one_that_is_added_counts(
    kernel: Kernel, answer: str
) -> None:
    kernel.execute(f"userdata.answer = {answer}").ok()
    assert key_line(kernel).startswith("api_key   none; enter one with %runagent_config --key")
    cell = kernel.execute("%%runagent agent-1\nhi")
    said = "".join((cell.error or {})["traceback"])
    assert "MISSING_API_KEY" in said
    assert "add RUNAGENT_API_KEY to Colab's secrets" in said
    kernel.execute("userdata.answer = 'added-later'").ok()
    assert key_line(kernel) == f"api_key   from {SOURCE}"


@pytest.mark.parametrize("known", [False, True])
def test_a_page_that_does_not_answer_is_asked_once_until_a_reset(
    kernel: Kernel, known: bool
) -> None:
    if known:
        assert SOURCE in key_line(kernel)
    kernel.execute("userdata.answer = userdata.TimeoutException()\nuserdata.asked.clear()").ok()
    # The key that came before still counts.
    assert [SOURCE in key_line(kernel) for _ in range(3)] == [known] * 3
    assert len(kernel.value("userdata.asked")) == 1
    kernel.execute("userdata.answer = 'back'").ok()
    assert SOURCE in kernel.execute("%runagent_config --reset").ok().stdout


def test_one_that_hangs_is_left(kernel: Kernel) -> None:
    kernel.execute(
        f"""
        import threading
        end = threading.Event()
        userdata.answer, patience, colab._PATIENCE = end.wait, colab._PATIENCE, {MOMENT}
        """
    ).ok()
    assert "none; enter one" in key_line(kernel)
    kernel.execute("end.set()\ncolab._PATIENCE = patience").ok()


def test_a_key_that_cannot_be_sent_is_refused_by_name(kernel: Kernel) -> None:
    kernel.execute("userdata.answer = 'two words'").ok()
    assert SOURCE in key_line(kernel)
    cell = kernel.execute("%%runagent agent-1\nhi")
    assert f"The API key from {SOURCE} has characters" in "".join((cell.error or {})["traceback"])
    assert "two words" not in "".join((cell.error or {})["traceback"])


def test_the_chat_brings_colabs_manager_of_widgets(kernel: Kernel) -> None:
    cell = kernel.execute("w = AgentWidget('demo')\nw").ok()
    live = cell.of_type("display_data")[0].content
    view = "application/vnd.jupyter.widget-view+json"
    assert live["metadata"][view]["colab"]["custom_widget_manager"]["url"].endswith("manager.js")
