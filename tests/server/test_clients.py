"""Public clients of ComfyUI's API, unchanged, run a shipped workflow here.

comfy-api-simplified 1.6.0 (PyPI), @saintno/comfyui-sdk 0.3.1 and @stable-canvas/comfyui-client 1.5.9 (npm); and ComfyUI's own
frontend, comfyui-frontend-package 1.27.10 (PyPI), in a browser.
Run with ``pytest -m clients``; they are installed into a temporary folder.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.process import PROJECT, Process

PYPI = "comfy-api-simplified==1.6.0"
FRONTEND = "comfyui-frontend-package==1.27.10"
NPM = ("@saintno/comfyui-sdk@0.3.1", "@stable-canvas/comfyui-client@1.5.9", "ws@8.18.3")
asked = "clients" in " ".join(sys.argv) or bool(os.environ.get("LOOM_TEST_CLIENTS"))
pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not asked, reason="asks registries for the clients: run with -m clients"),
]

SIMPLIFIED = """
import json, sys
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
api = ComfyApiWrapper(sys.argv[1])
workflow = ComfyWorkflowWrapper(sys.argv[2])
workflow.set_node_param("Prompt", "text", "a red boat")
images = api.queue_and_wait_images(workflow, "Save Image")
print(json.dumps({name: len(data) for name, data in images.items()}))
print(json.dumps(api.upload_image(sys.argv[3])))
"""

LISTEN = """() => {
    window.heard = []
    for (const name of ['executed', 'execution_success', 'execution_error']) {
        app.api.addEventListener(name, () => heard.push(name))
    }
}"""

STABLE_CANVAS = """
import { Client } from '@stable-canvas/comfyui-client'
import WebSocket from 'ws'
import fs from 'node:fs'
const [url, file] = process.argv.slice(2)
const client = new Client({ api_host: url.replace('http://', ''), WebSocket, fetch })
await client.getSystemStats()
await client.connect()
const seen = []
const result = await client.enqueue(JSON.parse(fs.readFileSync(file)), { progress: (p) => seen.push(p) })
const defs = await client.getNodeDefs()
const queue = await client.getQueue()
const history = await client.getHistory()
console.log(JSON.stringify({ images: result.images.length, steps: seen.length, defs: Object.keys(defs).length, queue,
  history: (history.History ?? history).length ?? Object.keys(history).length }))
client.close()
process.exit(0)
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    found = Process(tmp_path_factory.mktemp("server"), "--models-directory", str(PROJECT / "models"))
    found.start()
    yield found
    found.end()


@pytest.fixture(scope="module")
def prompt(process: Process, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped hello as an API file."""
    path = tmp_path_factory.mktemp("prompt") / "hello.json"
    path.write_text(json.dumps(process.get("/api/workflows/hello")["prompt"]))
    return path


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text('{"type": "module"}')
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *NPM], cwd=folder, check=True, capture_output=True)
    return folder


def output_of(*words: str, cwd: Path | None = None) -> list[Any]:
    """The JSON lines that a program prints."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_comfy_api_simplified(process: Process, prompt: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), PYPI]
    subprocess.run(install, check=True, capture_output=True)
    (tmp_path / "script.py").write_text(f"import sys; sys.path.insert(0, {str(target)!r})\n{SIMPLIFIED}")
    picture = PROJECT / "tests" / "workflow" / "data" / "tags.webm"
    images, uploaded = output_of(sys.executable, str(tmp_path / "script.py"), process.url, str(prompt), str(picture))
    assert len(images) == 1
    assert all(size > 1000 for size in images.values())
    assert uploaded["name"] == "tags.webm"


def test_saintno_comfyui_sdk(process: Process, prompt: Path, node: Path, tmp_path: Path) -> None:
    words = [
        "npx",
        "--no-install",
        "cfli",
        "-f",
        str(prompt),
        "-H",
        process.url,
        "--json",
        "-i",
        "3.inputs.seed=7",
        "-o",
        str(tmp_path),
    ]
    done = subprocess.run(words, cwd=node, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout[done.stdout.index("{") :])
    assert told["status"] == "completed"
    assert len(told["_media"]) == 1


def test_stable_canvas_comfyui_client(process: Process, prompt: Path, node: Path) -> None:
    (node / "script.mjs").write_text(STABLE_CANVAS)
    (told,) = output_of("node", "script.mjs", process.url, str(prompt), cwd=node)
    assert told["images"] == 1
    assert told["defs"] > 100


def test_comfyuis_own_frontend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loads, opens a shipped workflow, sends it and hears of its end."""
    sync_api = pytest.importorskip("playwright.sync_api")
    browser = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site"), FRONTEND]
    subprocess.run(install, check=True, capture_output=True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    process = Process(tmp_path / "base", "--models-directory", str(PROJECT / "models"), "--front-end", "comfy")
    process.start()
    workflow = json.loads((PROJECT / "workflows" / "hello.json").read_text())
    try:
        with sync_api.sync_playwright() as playwright:
            page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page()
            page.goto(process.url)
            until(lambda: page.evaluate("Boolean(window.LiteGraph?.registered_node_types.KSampler && app.graph)"))
            page.evaluate("async (flow) => { await app.loadGraphData(flow) }", workflow)
            types = page.evaluate("app.graph._nodes.map((node) => node.type)")
            assert sorted(types) == sorted(node["type"] for node in workflow["nodes"])
            page.evaluate(LISTEN)
            page.evaluate("app.queuePrompt(0, 1)")
            until(lambda: page.evaluate("heard.some((name) => name.startsWith('execution_'))"))
            heard = page.evaluate("heard")
        assert "execution_success" in heard
        assert heard.count("executed") == 1
        (entry,) = process.get("/history").values()
        assert entry["prompt"][3]["extra_pnginfo"]["workflow"]["nodes"]
    finally:
        process.end()


def until(wanted: Callable[[], bool], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.2)
