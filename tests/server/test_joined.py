"""The editor's modules joined into scripts: nothing is lost, and what a joined module sees is what a module sees."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.folders import PROJECT
from engine.server.joined import Joiner, Modules, UnjoinableError, join

from .conftest import Server

WEB = PROJECT / "web"
PAGE = """<link rel="stylesheet" href="a.css" />
<script type="module" src="main.js"></script>
<!-- modules -->
<link rel="modulepreload" href="a.js" />
<!-- /modules -->
"""


def site(folder: Path, **modules: str) -> Path:
    (folder / "index.html").write_text(PAGE)
    (folder / "a.css").write_text("a {\n  color: red; /* why */\n}\n")
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)
    return folder


def script(root: Path, start: str) -> str:
    found = join(root)
    assert found is not None
    return next(plain.decode() for name, (_, plain, _) in found.files.items() if name.startswith(start))


def test_every_module_of_the_editor_is_in_one_of_two_scripts() -> None:
    first, rest = script(WEB, "first"), script(WEB, "rest")
    modules = [
        path.relative_to(WEB).as_posix()
        for path in WEB.rglob("*.js")
        if not {"node_modules", "test"} & set(path.parts)
    ]  # fmt: skip
    needed = set(Modules(WEB).reach("main.js", later=True))
    assert needed <= set(modules)
    for name in needed:
        assert (f"__parts['{name}']" in first) != (f"__parts['{name}']" in rest), name


def test_the_first_load_is_small() -> None:
    """The goal is 150 KB with page and icons, as gzip sends them."""
    found = join(WEB)
    assert found is not None
    sizes = {name.split("-")[0]: len(packed) for name, (_, _, packed) in found.files.items()}
    icons = sum(len(gzip.compress((WEB / name).read_bytes())) for name in ("vendor/icons.svg", "icon.svg"))
    assert sizes["first"] + sizes["style"] + icons + len(gzip.compress(found.page.encode())) < 150 * 1024, sizes


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_joined_modules_see_what_modules_see(tmp_path: Path) -> None:
    """Names of all kinds, passed on, renamed, asked for later, and two modules that need each other."""
    root = site(
        tmp_path,
        main="import one, { two as zwei, Three, twice } from './a.js';\nimport * as all from './c.js';\n"
        "const { late } = await0();\nfunction await0() { return { late: () => import('./d.js') }; }\n"
        "const names = Object.keys(all).sort();\n"
        "globalThis.told = { one: one(), zwei, three: new Three().n, twice: twice(4), names, deep: all.deep };\n"
        "globalThis.later = late;\n",
        a="import { half, START } from './b.js';\nfunction one() { return half(2); }\nexport const two = 2;\n"
        "export class Three { n = 3; }\nexport function twice(n) { return n * 2 + START * 0; }\nexport { one as default };\n",
        b="import { twice, two } from './a.js';\nexport const START = twice.name.length;\n"
        "/** A comment that says import('./nothing.js'). */\nexport function half(n) { return twice(n) / 4 + two - 2; }\n",
        c="export * from './b.js';\nexport { two as deep } from './a.js';\n",
        d="import { two } from './a.js';\nexport const found = two + 1;\n",
    )
    found = join(root)
    assert found is not None
    out = tmp_path / "out"
    out.mkdir()
    for name, (_, plain, _) in found.files.items():
        (out / name).write_bytes(plain)
    (out / "package.json").write_text('{"type": "module"}')
    first = next(name for name in found.files if name.startswith("first"))
    (out / "run.js").write_text(
        f"await import('./{first}');\n"
        "console.log(JSON.stringify({ ...globalThis.told, late: (await globalThis.later()).found }));\n"
    )
    answer = subprocess.run(["node", "run.js"], cwd=out, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == {
        "one": 1, "zwei": 2, "three": 3, "twice": 8, "names": ["START", "deep", "half"], "deep": 2, "late": 3,
    }  # fmt: skip


def test_what_cannot_be_joined_is_named(tmp_path: Path) -> None:
    root = site(tmp_path, main="import './a.js';\n", a="export default 5;\n")
    with pytest.raises(UnjoinableError, match=r"a\.js: .*export default 5"):
        join(root)


def test_a_page_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>Another editor</title>")
    assert join(tmp_path) is None


def test_a_changed_file_is_joined_anew(tmp_path: Path) -> None:
    root = site(tmp_path, main="globalThis.n = 1;\n")
    joiner = Joiner(root)
    first = joiner.joined()
    assert joiner.joined() is first
    (root / "index.html").write_text(PAGE.replace("</script>", "</script><!-- more -->"))
    assert joiner.joined() is not first


def test_the_server_sends_them_packed_to_be_kept_and_the_parts_on_request(server: Server) -> None:
    page = server.get("/")
    assert page.text.count("<script") == 1
    assert "modulepreload" not in page.text
    name = page.text.split('src="')[1].split('"')[0]
    answer = server.get(f"/{name}")
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert "immutable" in answer.headers["Cache-Control"]
    assert server.get("/joined/first-0000.js").status == 404
    assert "modulepreload" in server.get("/?parts").text
