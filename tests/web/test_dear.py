"""Where a full draw is dear, a gesture reuses the last picture; what one sees in the end is the same."""

import io

import pytest
from PIL import Image, ImageChops, ImageStat

from .editor import Editor
from .scenes import many

DEAR = "() => { window.__test.app.canvas.stage.counters.lastMs = 99; }"
FULL = "() => { const s = window.__test.app.canvas.stage; s.mark('scene', 'test'); }"


@pytest.fixture
def crowd(editor):
    return editor.open(many(1000), scale=0.3, offset=(-2000, -800))


def far_apart(a: bytes, b: bytes) -> tuple[float, float]:
    """Mean difference of two screenshots, and the share of pixels that clearly differ.

    Curves and edges may differ a little: how they are smoothed depends on what is drawn with them.
    """
    difference = ImageChops.difference(*[Image.open(io.BytesIO(data)).convert("L") for data in (a, b)])
    clear = sum(difference.histogram()[40:])
    return ImageStat.Stat(difference).mean[0], clear / (difference.width * difference.height)


def picture(editor):
    return editor.page.screenshot(clip={"x": 60, "y": 60, "width": 1200, "height": 560})


def test_a_pan_shifts_and_paints_the_strips(crowd):
    crowd.page.evaluate(DEAR)
    shifts = crowd.scene()["shift"]
    crowd.drag((500, 600), (637, 541), button="middle", steps=5)
    assert crowd.scene()["shift"] > shifts
    assert crowd.scene()["how"] == "shift"
    shifted = picture(crowd)
    crowd.page.evaluate(FULL)
    crowd.settle()
    assert crowd.scene()["how"] == "full"
    mean, clear = far_apart(shifted, picture(crowd))
    assert mean < 0.2, "a shifted picture is the picture"
    assert clear < 0.0005


def test_a_zoom_scales_and_is_drawn_sharp_a_moment_later(crowd):
    crowd.page.mouse.move(700, 400)
    crowd.page.evaluate(DEAR)
    scaled = crowd.scene()["scaled"]
    crowd.page.mouse.wheel(0, -60)
    crowd.until("(scaled) => window.__test.counters.scene.scaled > scaled", scaled)
    crowd.until("() => window.__test.counters.scene.how === 'full'")
    crowd.settle()
    sharp = picture(crowd)
    crowd.page.evaluate(FULL)
    crowd.settle()
    assert far_apart(sharp, picture(crowd))[0] < 0.01


@pytest.fixture
def dense(browser, base):
    """A crowd on a screen of two pixels a CSS pixel."""
    context = browser.new_context(viewport={"width": 1600, "height": 900}, device_scale_factor=2, reduced_motion="reduce")
    one = Editor(context.new_page(), base).load()
    one.open(many(300), scale=0.3, offset=(-200, 100))
    yield one
    context.close()


WIDTH = "() => document.querySelector('canvas.scene').width / document.querySelector('canvas.scene').clientWidth"


def test_on_a_dense_screen_a_gesture_draws_one_pixel_a_pixel_and_is_sharp_afterwards(dense):
    assert dense.page.evaluate(WIDTH) == 2
    dense.page.mouse.move(900, 500)
    dense.page.mouse.down(button="middle")
    dense.page.evaluate(DEAR)
    seen = []
    for i in range(1, 7):
        dense.page.mouse.move(900 - 23 * i, 500 + 11 * i)
        seen.append(dense.page.evaluate(f"() => new Promise((done) => requestAnimationFrame(() => done(({WIDTH})())))"))
    dense.page.mouse.up(button="middle")
    assert 1 in seen
    dense.until(f"() => ({WIDTH})() === 2")
    dense.settle()
    sharp = picture(dense)
    dense.page.evaluate(FULL)
    dense.settle()
    assert far_apart(sharp, picture(dense))[0] < 0.01


@pytest.mark.parametrize("gesture", ["value", "move and undo", "collapse"])
def test_a_change_of_a_node_paints_its_part_and_the_rest_stays(crowd, gesture):
    crowd.camera(-1700, -700, 0.8)
    nodes = crowd.graph()["nodes"]
    seen = [
        key
        for key, node in nodes.items()
        if node["type"] == "KSampler" and 1750 < node["box"][0] < 3000 and 800 < node["box"][1] < 1400
    ]
    node = int(seen[0])
    crowd.click(crowd.title(node))
    if gesture == "value":
        x, y = crowd.widget(node, "steps")
        crowd.drag((x, y), (x + 60, y))
    elif gesture == "move and undo":
        x, y = crowd.title(node)
        crowd.drag((x, y), (x + 90, y - 40))
        crowd.key("Control+z")
    else:
        crowd.key("Alt+c")
    crowd.page.mouse.move(3, 3)
    crowd.settle()
    assert crowd.scene()["how"] == "part"
    assert crowd.scene()["visited"] < 30
    parted = picture(crowd)
    crowd.page.evaluate(FULL)
    crowd.settle()
    assert crowd.scene()["how"] == "full"
    mean, clear = far_apart(parted, picture(crowd))
    assert mean < 0.05
    assert clear < 0.0005
