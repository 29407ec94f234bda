"""The real server with folders of its own, a real browser, one page a test."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from .foreign import strange_models
from .scenes import HELLO, many

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 90


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.web)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as refused:
        return refused.code == 401  # it wants to know who one is
    except OSError:
        return False


@contextlib.contextmanager
def serve(home: Path | None = None, *flags: str) -> Iterator[str]:
    """The address of a running server with folders of its own, or those in ``home``.

    ``LOOM_WEB_URL`` names one that runs already.
    """
    if (url := os.environ.get("LOOM_WEB_URL")) and home is None:
        yield url.rstrip("/")
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        home = home or Path(folder)
        names = ("output", "input", "temp", "user")
        for name in names:
            (home / name).mkdir(exist_ok=True)
        log = home / "server.log"
        command = [sys.executable, "main.py", "--port", str(port), "--listen", "127.0.0.1", "--cpu"]
        command += [word for name in names for word in (f"--{name}-directory", str(home / name))]
        command += ["--extra-model-paths-config", str(strange_models(home))]
        command += flags
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
            try:
                await_answer(process, url, log)
                yield url
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


def await_answer(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return when the server answers; fail with its last words when it does not."""
    end = time.monotonic() + START_SECONDS
    while not answers(f"{url}/object_info"):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.25)


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """The server's address."""
    with serve() as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = CHROMIUM if Path(CHROMIUM).exists() else shutil.which("chromium")
    if not path:
        pytest.skip("there is no chromium: install it with apt")
    with api.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


class Pages:
    """One page for all tests, made anew after a test that left it in a bad way: loading the editor is most of a test's time."""

    def __init__(self, browser, base, **options) -> None:
        self.browser, self.base, self.options = browser, base, options
        self.editor = None

    def give(self):
        from .editor import Editor

        if self.editor is None or not self.editor.reset():
            self.close()
            context = self.browser.new_context(reduced_motion="reduce", **self.options)
            self.editor = Editor(context.new_page(), self.base).load()
            self.editor.reset()
        return self.editor

    def close(self) -> None:
        if self.editor is not None:
            self.editor.page.context.close()
        self.editor = None


@pytest.fixture(scope="session")
def desk(browser, base) -> Iterator[Pages]:
    pages = Pages(browser, base, viewport={"width": 1600, "height": 900})
    yield pages
    pages.close()


@pytest.fixture(scope="session")
def slate(browser, base) -> Iterator[Pages]:
    pages = Pages(browser, base, viewport={"width": 1200, "height": 800}, has_touch=True)
    yield pages
    pages.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for name in ("desk", "slate"):
            if name in item.fixturenames and name in item.funcargs:
                item.funcargs[name].close()
    return report


@pytest.fixture
def editor(desk):
    """A page at 1600x900 with an empty workflow; a script error fails the test."""
    one = desk.give()
    yield one
    assert not one.problems, one.problems


@pytest.fixture
def hello(editor):
    """The txt2img graph at 100 %."""
    return editor.open(HELLO)


@pytest.fixture
def touch(slate):
    """The txt2img graph on a touch screen."""
    from .editor import Fingers

    one = slate.give()
    one.open(HELLO, scale=0.8, offset=(30, 150))
    one.fingers = Fingers(one.page)
    yield one
    assert not one.problems, one.problems


@pytest.fixture(scope="session")
def thousand() -> dict:
    return many(1000)
