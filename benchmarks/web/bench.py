"""Frames of the editor beside litegraph 0.17.2: the same graph, browser, screen and minute. Prints ratios.

    python benchmarks/web/bench.py [--nodes 1000 5000] [--frames 60] [--save FILE]

Needs Chromium, playwright and npm. It starts the server itself unless ``LOOM_WEB_URL`` names one. Both pages are drawn
by the processor at 1600x900, frames are not held back to the screen's rate, and each figure is the median of three
rounds. What the figures say about a machine is little; the ratio between two columns of one run is what counts.
"""

import argparse
import contextlib
import functools
import gzip
import http.server
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

from tests.web.conftest import CHROMIUM, FLAGS, serve  # noqa: E402
from tests.web.scenes import many  # noqa: E402

ROUNDS = 3
GOALS = {  # milliseconds, p50, for 1,000 and 5,000 nodes; a run over five times the goal fails
    "pan at 100 %": {1000: 10, 5000: 12},
    "zoom near 100 %": {1000: 10, 5000: 12},
    "pan at fit-all": {1000: 12, 5000: 16},
    "drag one node": {1000: 8, 5000: 8},
    "open a file": {1000: 150, 5000: 400},
    "undo and redo": {1000: 8, 5000: 8},
    "select all, copy, paste": {1000: 150, 5000: 800},
    "heap, MB": {1000: 40, 5000: 120},
}
BLOCK = 5
EXTRA = ["--disable-frame-rate-limit", "--disable-gpu-vsync", "--enable-precise-memory-info"]
Figures = dict[str, float]


@contextlib.contextmanager
def files(folder: Path) -> Iterator[str]:
    """A static server for the litegraph page."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def fit_all(count: int, graph: dict[str, Any]) -> tuple[float, float, float]:
    """The camera that shows everything at 1600x900."""
    xs = [node["pos"][0] for node in graph["nodes"]]
    ys = [node["pos"][1] for node in graph["nodes"]]
    width, height = max(xs) - min(xs) + 400, max(ys) - min(ys) + 400
    scale = min(1500 / width, 800 / height)
    return -min(xs) + 100, -min(ys) + 100, scale


def p50(page: Page, call: str, argument: Any = None) -> float:
    """Median over rounds of the median frame."""
    rounds = [page.evaluate(f"(argument) => window.measure.{call}", argument) for _ in range(ROUNDS)]
    return statistics.median(statistics.median(times) if isinstance(times, list) else times for times in rounds)


def frames(page: Page, graph: dict[str, Any], count: int) -> Figures:
    """The scenarios both pages know."""
    found: Figures = {"open a file": p50(page, "open(argument)", json.dumps(graph))}
    x, y, scale = fit_all(len(graph["nodes"]), graph)
    page.evaluate("window.bench.camera(-1400, 60, 1)")
    found["pan at 100 %"] = p50(page, f"pan({count})")
    page.evaluate("window.bench.camera(-1400, 60, 1)")
    found["zoom near 100 %"] = p50(page, f"zoom({count})")
    page.evaluate("window.bench.camera(60, 120, 1)")
    found["drag one node"] = p50(page, f"drag({count}, 1)")
    page.evaluate("([x, y, scale]) => window.bench.camera(x, y, scale)", [x, y, scale])
    found["pan at fit-all"] = p50(page, f"pan({count})")
    page.evaluate("([x, y, scale]) => window.bench.camera(x, y, scale)", [x, y, scale])
    found["zoom at fit-all"] = p50(page, f"zoom({count})")
    found["heap, MB"] = page.evaluate("window.measure.heap()") / 2**20
    return found


def ours_only(page: Page) -> Figures:
    """Edits, which have no counterpart on a bare litegraph page."""
    script = """async () => {
        const { app } = window.__test;
        const doc = app.active.value;
        const frame = () => new Promise(requestAnimationFrame);
        const timed = async (act) => { const t = performance.now(); await act(); await frame(); return performance.now() - t; };
        const middle = (times) => times.sort((a, b) => a - b)[times.length >> 1];
        doc.edit('Move', (e) => e.change({ op: 'node=', id: 1, set: { pos: [5, 5] } }));
        await frame();
        const steps = [];
        for (let i = 0; i < 9; i++) steps.push(await timed(() => (i % 2 ? doc.redo() : doc.undo())));
        const { copyItems, pasteFragment } = await import('./graph/copy.js');
        const pastes = [];
        for (let i = 0; i < 3; i++) {
            pastes.push(await timed(() => {
                doc.select({ nodes: doc.graph.nodes.keys() });
                const data = JSON.parse(JSON.stringify(copyItems(doc.graph, { nodes: [...doc.graph.nodes.keys()] })));
                doc.edit('Paste', (e) => pasteFragment(e, data, { offset: [40, 40] }));
            }));
            doc.undo();
            await frame();
        }
        return { 'undo and redo': middle(steps), 'select all, copy, paste': middle(pastes) };
    }"""
    return page.evaluate(script)


def cold_load(browser: Browser, base: str) -> Figures:
    """First load in an empty browser: time to an editable graph, requests, bytes as gzip would send them."""
    context = browser.new_context(viewport={"width": 1600, "height": 900})
    page = context.new_page()
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    start = time.monotonic()
    page.goto(f"{base}/?test=1")
    until(page, "() => Boolean(window.__test?.app?.canvas) && window.__test.counters.draws.scene > 0")
    seconds = time.monotonic() - start
    code = [url for url in urls if url.split("?")[0].endswith((".js", ".css", ".html", "/"))]
    size = sum(len(gzip.compress(urllib.request.urlopen(url).read())) for url in set(code))
    context.close()
    return {"cold load, ms": seconds * 1000, "requests": len(code), "code, KB as gzip": size / 1024}


def compare(browser: Browser, base: str, other: str, count: int, steps: int) -> tuple[Figures, Figures]:
    """Both pages on one graph, one after the other."""
    graph = many(count)
    measure, drive = (HERE / "measure.js").read_text(), (HERE / "ours.js").read_text()
    info = json.loads(urllib.request.urlopen(f"{base}/object_info").read())
    used = {node["type"] for node in graph["nodes"]}
    results = []
    for ours in (True, False):
        context = browser.new_context(viewport={"width": 1600, "height": 900})
        page = context.new_page()
        page.goto(f"{base}/?test=1" if ours else f"{other}/litegraph.html")
        if ours:
            until(page, "() => Boolean(window.__test?.app?.canvas)")
            page.evaluate(strip(drive))
        else:
            until(page, "() => Boolean(window.bench)")
            page.evaluate("(info) => window.bench.setup(info)", {name: info[name] for name in used})
        page.evaluate(strip(measure))
        found = frames(page, graph, steps)
        if ours:
            found |= ours_only(page)
        results.append(found)
        context.close()
    return results[0], results[1]


def until(page: Page, test: str) -> None:
    """Wait for a page; its own rules forbid the driver's way of waiting."""
    end = time.monotonic() + 30
    while not page.evaluate(test):
        if time.monotonic() > end:
            raise TimeoutError(test)
        time.sleep(0.005)


def strip(source: str) -> str:
    """A script file as one function expression."""
    return source[source.index("() => {") :].rstrip().rstrip(";")


def report(count: int, ours: Figures, other: Figures) -> bool:
    """Print one table; False when a figure is over five times its goal."""
    print(f"\n{count} nodes, {len(many(count)['links'])} wires: medians in ms")
    print(f"{'':26}{'ours':>9}{'litegraph':>11}{'ratio':>8}{'goal':>7}")
    fine = True
    for name, value in ours.items():
        goal = GOALS.get(name, {}).get(count)
        ratio = f"{other[name] / value:.1f}x" if other.get(name) and value else ""
        word = "" if goal is None or value <= goal else "  over" if value <= BLOCK * goal else "  FAR OVER"
        fine &= "FAR" not in word
        theirs = f"{other[name]:.1f}" if name in other else ""
        print(f"{name:26}{value:9.1f}{theirs:>11}{ratio:>8}{goal if goal is not None else '':>7}{word}")
    return fine


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--nodes", type=int, nargs="+", default=[1000, 5000])
    words.add_argument("--frames", type=int, default=60)
    words.add_argument("--save", type=Path)
    chosen = words.parse_args()
    if not (HERE / "node_modules" / "@comfyorg" / "litegraph").exists():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=HERE, check=True)
    machine = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    found: dict[str, Any] = {"machine": machine}
    fine = True
    with serve() as base, files(HERE) as other, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *EXTRA])
        machine["chromium"] = browser.version
        print("machine:", ", ".join(f"{key} {value}" for key, value in machine.items()))
        found["load"] = cold_load(browser, base)
        print("; ".join(f"{name}: {value:.0f}" for name, value in found["load"].items()))
        for count in chosen.nodes:
            ours, theirs = compare(browser, base, other, count, chosen.frames)
            found[str(count)] = {"ours": ours, "litegraph": theirs}
            fine &= report(count, ours, theirs)
        browser.close()
    if chosen.save:
        chosen.save.write_text(json.dumps(found, indent=2))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
