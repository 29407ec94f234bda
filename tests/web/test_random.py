"""Random gestures with real input: nothing breaks, and undoing all of them gives the same file back."""

import random

import pytest

from .scenes import HELLO

ACTIONS = 50
KEYS = ["Delete", "Control+Delete", "Control+d", "Control+m", "Control+b", "Alt+c", "p", "f", "Shift+X", "Control+Shift+G", "Tab"]
KEYS += [
    "ArrowRight",
    "Shift+ArrowDown",
    "[",
    "]",
    "Control+a",
    "Escape",
    ".",
    "Control+z",
    "Control+y",
    "Alt+ArrowRight",
    "Control+Shift+E",
]
HELD = ["", "", "", "Shift", "Control", "Alt", "Control+Shift", "Control+Alt", "Shift+Alt"]


def spot(editor, rng: random.Random) -> tuple[float, float]:
    """A socket, a title, a widget, a wire or anywhere."""
    nodes = editor.graph()["nodes"]
    kind = rng.choice(["title", "socket", "body", "corner", "any", "any"])
    if not nodes or kind == "any":
        return rng.uniform(80, 1560), rng.uniform(70, 860)
    x0, y0, x1, y1 = rng.choice(list(nodes.values()))["box"]
    x, y = {
        "title": (x0 + 60, y0 + 15),
        "socket": (rng.choice([x0, x1]), y0 + 44 + 20 * rng.randrange(4)),
        "body": (rng.uniform(x0, x1), rng.uniform(y0, y1)),
        "corner": (x1 - 4, y1 - 4),
    }[kind]
    return editor.page_at(x, y)


def inside(at: tuple[float, float]) -> tuple[float, float]:
    """Only the canvas itself is touched, not the bar, the rail, the minimap or its buttons."""
    return min(max(at[0], 100), 1340), min(max(at[1], 90), 840)


def act(editor, rng: random.Random) -> str:
    kind = rng.choice(["click", "drag", "drag", "drag", "key", "wheel", "double", "right"])
    page = editor.page
    if kind == "key":
        key = rng.choice(KEYS)
        editor.key(key)
        return key
    at = inside(spot(editor, rng))
    held = rng.choice(HELD)
    if kind == "click":
        editor.click(at, keys=held)
    elif kind == "double":
        editor.double(at)
    elif kind == "wheel":
        page.mouse.move(*at)
        page.mouse.wheel(0, rng.choice([-120, 120]))
    elif kind == "right":
        editor.click(at, button="right")
    else:
        editor.drag(at, inside(spot(editor, rng)), keys=held, steps=4)
    for _ in range(2):  # whatever opened: a palette, a menu, a name to type
        page.keyboard.press("Escape")
    editor.focus()
    return f"{kind} {held} {at[0]:.0f},{at[1]:.0f}"


@pytest.mark.parametrize("seed", [1, 2])
def test_random_gestures_then_undo_all_gives_the_same_file(editor, seed):
    editor.open(HELLO, scale=0.8)
    start = editor.page.evaluate("() => JSON.stringify(window.__test.file())")
    rng = random.Random(seed)
    done = []
    for _ in range(ACTIONS):
        done.append(act(editor, rng))
        assert not editor.problems, (editor.problems, done)
    editor.page.evaluate(
        """() => {
            const doc = window.__test.app.active.value;
            while (doc.undo());
            while (doc.trail.value.length) doc.leave();
        }"""
    )
    editor.camera(60, 120, 0.8)
    assert editor.page.evaluate("() => JSON.stringify(window.__test.file())") == start, done
