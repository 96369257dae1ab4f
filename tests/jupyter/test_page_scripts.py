"""The scripts of the chat's page: one small text that loads nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.kernel import Kernel

import runagent_jupyter
from runagent_jupyter import html
from runagent_jupyter.chats.page_script import _COMMENT, _REMARK, _TEXT, bundled, joined

_STATIC = Path(runagent_jupyter.__file__).parent / "static"


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    return shared_kernel


def test_hot_reload_is_there_for_who_works_on_it(kernel: Kernel) -> None:
    kernel.execute(
        """
        import os
        os.environ["ANYWIDGET_HMR"] = "1"
        from runagent_jupyter import AgentWidget
        """
    ).ok()
    kinds = kernel.value("[type(getattr(AgentWidget, n)).__name__ for n in ('_esm', '_css')]")
    assert kinds == ["FileContents", "FileContents"]


def sheet() -> str:
    """The style sheet that a chat carries."""
    return html.compact((_STATIC / "widget.css").read_text())


def test_the_page_side_is_small_and_loads_nothing() -> None:
    carried = [joined((_STATIC / "widget.js").read_text()), sheet(), html.css()]
    assert sum(len(text.encode()) for text in carried) < 40_000
    for path in _STATIC.iterdir():
        text = path.read_text()
        assert "http:" not in text
        assert "https:" not in text
        assert "url(" not in text
        loaded = joined(text) if path.suffix == ".js" else text.replace("!important", "")
        assert "import" not in loaded


def in_node(*arguments: str) -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    done = subprocess.run([node, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_scripts_are_one_module_in_node(tmp_path: Path) -> None:
    script = joined((_STATIC / "widget.js").read_text())
    assert joined(script) == script
    for path in _STATIC.glob("*.js"):
        for name in re.findall(r"^export (?:class|function) (\w+)", path.read_text(), re.MULTILINE):
            assert len(re.findall(rf"(?<![\w ])(?:class|function) {name}\b", script)) == 1
    (tmp_path / "widget.mjs").write_text(script)
    source = (
        "const module = await import(process.argv[1]);"
        "console.log(JSON.stringify([Object.keys(module), Object.keys(module.default())]));"
    )
    shown = in_node("--input-type=module", "-e", source, str(tmp_path / "widget.mjs"))
    assert json.loads(shown) == [["default"], ["initialize", "render"]]


def test_the_page_gets_the_joined_script_and_a_short_style_sheet(kernel: Kernel) -> None:
    kernel.execute("from runagent_jupyter import AgentWidget\nw = AgentWidget('demo')").ok()
    script = joined((_STATIC / "widget.js").read_text())
    assert kernel.value("w.get_state('_esm')['_esm']") == script
    assert kernel.value("w.get_state('_css')['_css']") == sheet()
    assert len(sheet()) < len((_STATIC / "widget.css").read_text())
    kernel.execute(
        f"w._esm = {(_STATIC / 'widget.js').read_text()!r}"
    ).ok()  # as hot reloading does
    assert kernel.value("w._esm") == script


SIGNS = """\
const [a, b, i] = [1, 2, 10_000];
export const all = [a + +b, a - -b, a + -b, i++ + b, i - --i, (a) => -a, async (a) => `${a + +b}`];
for (const x of all) if (x) { i--; }
else all.push(x);
"""


def test_the_scripts_keep_to_what_the_compaction_reads() -> None:
    found = []
    for path in _STATIC.glob("*.js"):
        code = _TEXT.sub('""', _REMARK.sub("", _COMMENT.sub("", path.read_text())))
        assert not re.search("['`]", code), path  # strings have double quotes
        assert not re.search(r"//|/\*", code), path
        found += re.findall(r"/(?! )(?:\\.|\[(?:\\.|[^]])*\]|[^/\n])+/\w*", code)
    assert len(found) > 5
    assert all(re.fullmatch('/[^\\s"]+/\\w*', pattern) for pattern in found), found


@pytest.mark.parametrize("module", ["widget", "signs"])
def test_a_short_script_is_the_same_program(tmp_path: Path, module: str) -> None:
    written = SIGNS if module == "signs" else bundled((_STATIC / "widget.js").read_text())
    kinds = {
        "written": written,
        "short": joined(written),
        "other": written.replace("else", ""),
    }
    for name, text in kinds.items():
        (tmp_path / name).write_text(text)
    source = """
        const { parse } = require("internal/deps/acorn/acorn/dist/acorn");
        const places = new Set(["start", "end", "raw"]);
        const tree = (path) => JSON.stringify(
          parse(require("fs").readFileSync(path, "utf8"), { ecmaVersion: "latest", sourceType: "module" }),
          (name, value) => (places.has(name) && typeof value !== "object" ? undefined : value),
        );
        const [written, short, other] = process.argv.slice(1).map(tree);
        console.log(JSON.stringify([written.length > 1_000, short === written, other === written]));
    """
    shown = in_node("--expose-internals", "-e", source, *(str(tmp_path / name) for name in kinds))
    assert json.loads(shown) == [True, True, False]


@pytest.mark.parametrize("script", ["transcript", "connection", "keys"])
def test_a_script_in_node(script: str) -> None:
    in_node("--test", str(Path(__file__).with_name(f"{script}.test.mjs")))
