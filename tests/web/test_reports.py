"""What nodes write beside pictures: a summary on the node, pages and tables read where one is."""

import json

import pytest

from .scenes import Sheet
from .test_panels import DOC

REPORT = 6


def measured():
    """One setting of two seeds, drawn small in two steps, and its report."""
    sheet = Sheet()
    outputs = [("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")]
    loader = sheet.node("CheckpointLoaderSimple", (0, 0), (300, 98), [], outputs, ["loom-demo.safetensors"])
    model = [("model", "MODEL")]
    levels = sheet.node("BasicScheduler", (0, 150), (300, 130), model, [("SIGMAS", "SIGMAS")], ["normal", 2, 1.0])
    line = sheet.node("TimelineSegment", (0, 330), (300, 200), model, [("TIMELINE", "TIMELINE")], [1.0, 0.0, "percent", 0, 0, 0])
    sampler = sheet.node("KSamplerSelect", (0, 580), (300, 60), [], [("SAMPLER", "SAMPLER")], ["euler"])
    kinds = ("timeline", "sampler", "sigmas", "clip", "vae")
    values = ["base", "a cat", "", 2, 1, "fixed", 64, 64]
    setting = sheet.node(
        "DiversitySetting", (360, 0), (340, 460), [(name, name.upper()) for name in kinds], [("DIVERSITY", "DIVERSITY")], values
    )
    sheet.node("DiversityReport", (760, 0), (420, 520), [("diversity", "DIVERSITY")], [], ["reports/web"])
    for source, slot, target, into in [
        (loader, 0, levels, 0),
        (loader, 0, line, 0),
        (line, 0, setting, 0),
        (sampler, 0, setting, 1),
        (levels, 0, setting, 2),
        (loader, 1, setting, 3),
        (loader, 2, setting, 4),
        (setting, 0, REPORT, 0),
    ]:
        sheet.link(source, slot, target, into)
    return sheet.json()


@pytest.fixture
def report(editor):
    editor.open(measured(), scale=0.8)
    editor.focus()
    editor.key("Control+Enter")
    editor.until(f"() => {DOC}.run.outputs.get('{REPORT}')?.files?.length === 2 && !{DOC}.run.pending.value", seconds=60)
    editor.until("() => window.__test.counters.bitmaps.count >= 2")
    editor.settle()
    return editor


def rows(editor):
    """The middle of each file's row, in page pixels, by name."""
    return editor.page.evaluate(
        """(id) => {
            const { stage } = window.__test.app.canvas;
            const node = stage.graph.node(id);
            const at = ({ x, y, w, h }) => window.__test.counters.page(x + w / 2, y + h / 2);
            const { rows } = stage.media.parts(node, stage.media.box(node));
            return Object.fromEntries(stage.media.of(node).files.map(({ filename }, i) => [filename.split('.')[1], at(rows[i])]));
        }""",
        REPORT,
    )


def test_a_page_and_a_table_open_from_the_node_that_wrote_them(report):
    places = rows(report)
    report.click(tuple(places["html"]))
    frame = report.page.locator("iframe.page-frame")
    frame.wait_for()
    assert frame.get_attribute("sandbox") == "", "nothing runs in it"
    inside = frame.content_frame
    inside.get_by_role("heading", name="Diversity").wait_for()
    assert inside.locator("img").first.evaluate("(picture) => picture.decode().then(() => picture.naturalWidth)") > 100
    report.page.keyboard.press("Escape")
    frame.wait_for(state="detached")
    report.click(tuple(places["json"]))
    text = report.page.locator("dialog pre")
    text.wait_for()
    assert json.loads(text.inner_text())["prompts"] == ["a cat"]
    report.page.keyboard.press("Escape")
    text.wait_for(state="detached")
