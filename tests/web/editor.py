"""The editor as a test sees it: a page, real input events, and what the page counts about itself."""

import json
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

JsonDict = dict[str, Any]
REST_SECONDS = 30  # a hang, not slowness
LOAD_SECONDS = 60  # on a machine that does a lot else


class Editor:
    """One page of the editor with ``?test=1``. Positions are page pixels unless they say graph."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.problems: list[str] = []
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        # Asked for only when a test presses the key, a busy page handles the key first and opens a choice nobody is told of.
        page.on("filechooser", lambda chooser: None)

    def load(self, query: str = "") -> "Editor":
        self.page.goto(f"{self.base}/?test=1{query}", wait_until="commit", timeout=LOAD_SECONDS * 1000)
        self.until("() => Boolean(window.__test?.app?.canvas)", seconds=LOAD_SECONDS)
        self.settle()
        return self

    def reset(self) -> bool:
        """Make the page as good as new: nothing open, nothing held. False when it is beyond that."""
        if self.problems:
            return False
        try:
            for _ in range(2):
                self.page.keyboard.press("Escape")
            self.focus()
            self.page.keyboard.press("Escape")
            self.page.evaluate("() => window.__test.clear()")
            self.page.mouse.move(1, 1)
            self.until("() => !window.__test.counters.later")
            self.settle()
        except Exception:
            return False
        return True

    def open(self, workflow: JsonDict, scale: float = 1.0, offset: tuple[float, float] = (60, 120)) -> "Editor":
        """Show a workflow at a known camera."""
        camera = {"ds": {"scale": scale, "offset": list(offset)}}
        # As text: the driver takes seconds to hand over a big object.
        self.page.evaluate("(text) => void window.__test.open(JSON.parse(text))", json.dumps(workflow | {"extra": camera}))
        self.settle()
        self.camera(*offset, scale)
        return self

    def camera(self, x: float, y: float, scale: float) -> None:
        self.page.evaluate("([x, y, scale]) => window.__test.look({x, y, scale})", [x, y, scale])
        self.settle()

    def until(self, test: str, argument: Any = None, seconds: float = 10) -> Any:
        """Ask the page until it answers something true. (The page's own rules forbid the driver's way of waiting.)"""
        end = time.monotonic() + seconds
        while not (answer := self.page.evaluate(test, argument)):
            assert time.monotonic() < end, f"still not true after {seconds} s: {test}"
            self.page.wait_for_timeout(30)
        return answer

    def settle(self) -> None:
        """Wait until nothing is left to draw; fail when the page never comes to rest."""
        restless = self.page.evaluate(
            """(most) => new Promise((done) => {
                const start = performance.now();
                const look = () => requestAnimationFrame(() => {
                    const { idle, draws } = window.__test.counters;
                    if (idle) setTimeout(() => done(null), 0);
                    else if (performance.now() - start > most) done(draws);
                    else look();
                });
                look();
            })""",
            REST_SECONDS * 1000,
        )
        assert restless is None, f"the page still draws after {REST_SECONDS} s: {restless}"

    # What is there

    def graph(self) -> JsonDict:
        return json.loads(self.page.evaluate("() => JSON.stringify(window.__test.counters.graph())"))

    def draws(self) -> dict[str, int]:
        return self.page.evaluate("() => window.__test.counters.draws")

    def scene(self) -> JsonDict:
        return self.page.evaluate("() => window.__test.counters.scene")

    def count(self, name: str) -> Any:
        return self.page.evaluate(f"() => window.__test.counters.{name}")

    def view(self) -> JsonDict:
        return self.count("camera")

    def links(self) -> set[tuple[int, int, int, int]]:
        return {(link["from"], link["fromSlot"], link["to"], link["toSlot"]) for link in self.graph()["links"]}

    def selected(self) -> set[int]:
        return set(self.graph()["selection"]["nodes"])

    def value(self, node: int, name: str) -> Any:
        return self.graph()["nodes"][str(node)]["values"][name]

    # Where it is

    def title(self, node: int) -> tuple[float, float]:
        return self._at({"node": node})

    def output(self, node: int, slot: int = 0) -> tuple[float, float]:
        return self._at({"node": node, "side": "out", "slot": slot})

    def input(self, node: int, slot: int = 0) -> tuple[float, float]:
        return self._at({"node": node, "side": "in", "slot": slot})

    def widget(self, node: int, name: str) -> tuple[float, float]:
        return self._at({"node": node, "widget": name})

    def page_at(self, x: float, y: float) -> tuple[float, float]:
        """The page point of a graph point."""
        return tuple(self.page.evaluate("([x, y]) => window.__test.counters.page(x, y)", [x, y]))

    def wire(self, link: int) -> tuple[float, float]:
        return self.page_at(*self.page.evaluate("(id) => window.__test.counters.wire(id)", link))

    def _at(self, what: JsonDict) -> tuple[float, float]:
        return tuple(self.page.evaluate("(what) => window.__test.counters.at(what)", what))

    # Real input

    def click(self, at: tuple[float, float], *, keys: str = "", button: str = "left") -> None:
        self._hold(keys, lambda: self.page.mouse.click(*at, button=button))

    def double(self, at: tuple[float, float]) -> None:
        self.page.mouse.dblclick(*at)
        self.settle()

    def drag(
        self, start: tuple[float, float], end: tuple[float, float], *, keys: str = "", button: str = "left", steps: int = 8
    ) -> None:
        def go() -> None:
            self.page.mouse.move(*start)
            self.page.mouse.down(button=button)
            self.page.mouse.move(*end, steps=steps)
            self.page.mouse.up(button=button)

        self._hold(keys, go)

    def drop(self, path: Path, at: tuple[float, float]) -> None:
        """A file of the disk is dragged over the page and let go, as the browser sees it from the desktop."""
        session = self.page.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": at[0], "y": at[1], "data": data})
        session.detach()
        self.settle()

    def menu(self, at: tuple[float, float], *words: str) -> None:
        """Right-click, then the lines of the menu with these words, one after the other."""
        self.click(at, button="right")
        for word in words:
            self.page.get_by_role("menuitem", name=word).first.click()
        self.settle()

    def key(self, keys: str) -> None:
        self.page.keyboard.press(keys)
        self.settle()

    def focus(self) -> None:
        self.page.evaluate("() => window.__test.app.canvas.focus()")

    def _hold(self, keys: str, act: Any) -> None:
        held = [key for key in keys.split("+") if key]
        for key in held:
            self.page.keyboard.down(key)
        act()
        for key in reversed(held):
            self.page.keyboard.up(key)
        self.settle()


class Fingers:
    """Touches through the browser's own protocol: they arrive as real touch pointers."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.session = page.context.new_cdp_session(page)

    def send(self, kind: str, points: list[tuple[float, float]]) -> None:
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def tap(self, *points: tuple[float, float]) -> None:
        self.send("touchStart", list(points))
        self.send("touchEnd", [])

    def hold(self, seconds: float = 10) -> None:
        """Keep the finger still until the canvas takes it for a long press."""
        end = time.monotonic() + seconds
        while self.page.evaluate("() => window.__test.counters.tool") != "box":
            assert time.monotonic() < end, "a finger held still is not taken for a long press"
            self.page.wait_for_timeout(30)

    def drag(
        self, starts: list[tuple[float, float]], ends: list[tuple[float, float]], steps: int = 8, held: bool = False
    ) -> None:
        self.send("touchStart", starts)
        if held:
            self.hold()
        for i in range(1, steps + 1):
            k = i / steps
            self.send(
                "touchMove", [(a[0] + (b[0] - a[0]) * k, a[1] + (b[1] - a[1]) * k) for a, b in zip(starts, ends, strict=True)]
            )
        self.send("touchEnd", [])
