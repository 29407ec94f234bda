"""What a model was made for, offered where its samplers are set otherwise: real files, a real run."""

import json
import urllib.request

import pytest

from .scenes import HELLO, Sheet, txt2img
from .test_panels import DOC, panel

FEW = {"steps": 4, "cfg": 1, "sampler_name": "lcm", "scheduler": "sgm_uniform"}
LORA = 8


def with_lora():
    """HELLO with the demo's distilled LoRA between its checkpoint and its sampler."""
    sheet = Sheet()
    loader, *_ = txt2img(sheet)
    model, values = [("model", "MODEL")], ["loom-demo-lcm.safetensors", 1.0]
    lora = sheet.node("LoraLoaderModelOnly", (0, 150), (300, 104), model, [("MODEL", "MODEL")], values)
    wire = next(link for link in sheet.links if link[5] == "MODEL")
    wire[1] = lora
    sheet.nodes[lora - 1]["outputs"][0]["links"] = sheet.nodes[loader - 1]["outputs"][0]["links"]
    sheet.nodes[loader - 1]["outputs"][0]["links"] = []
    sheet.link(loader, 0, lora, 0)
    return sheet.json()


@pytest.fixture
def distilled(editor):
    editor.open(with_lora(), scale=0.8)
    return editor


def line(editor):
    return editor.page.locator(".advice")


def settings(editor):
    values = editor.graph()["nodes"]["5"]["values"]
    return {name: values[name] for name in FEW}


def test_a_distilled_lora_says_what_it_is_for_sets_the_sampler_and_draws(distilled):
    before = settings(distilled)
    line(distilled).wait_for()
    assert "Made for 4 steps, cfg 1, lcm sgm_uniform" in line(distilled).inner_text()
    assert settings(distilled) == before, "nothing is changed unasked"
    line(distilled).get_by_role("button", name="Use", exact=True).click()
    assert settings(distilled) == FEW
    line(distilled).wait_for(state="detached")
    distilled.key("Control+Enter")
    distilled.until(f"() => {DOC}.run.outputs.get('7')?.images?.length && !{DOC}.run.pending.value", seconds=60)
    sent = json.load(urllib.request.urlopen(f"{distilled.base}/api/history?max_items=1"))
    (entry,) = sent.values()
    assert {name: entry["prompt"][2]["5"]["inputs"][name] for name in FEW} == FEW
    distilled.key("Control+z")
    assert settings(distilled) == before, "one step back gives the old values"
    line(distilled).wait_for()


def test_it_goes_with_the_choice_of_another_file_and_can_be_sent_away(distilled):
    line(distilled).wait_for()
    distilled.page.evaluate(f"() => {DOC}.edit('x', (e) => e.change({{ op: 'node=', id: {LORA}, set: {{ mode: 4 }} }}))")
    line(distilled).wait_for(state="detached")
    distilled.key("Control+z")
    line(distilled).wait_for()
    line(distilled).get_by_role("button", name="Not here").click()
    line(distilled).wait_for(state="detached")


def test_it_is_in_the_outline_too(distilled):
    line(distilled).wait_for()
    distilled.page.evaluate(f"() => {DOC}.select({{ nodes: [{LORA}] }})")
    body = panel(distilled, "outline")
    assert "Made for 4 steps" in body.locator(".details .why").inner_text()
    body.locator(".details .why").get_by_role("button", name="Use").click()
    assert settings(distilled) == FEW
    panel(distilled, "")


def test_it_stands_at_its_node_wherever_that_goes(distilled):
    line(distilled).wait_for()
    box = lambda: line(distilled).bounding_box()  # noqa: E731
    before, (x, y) = box(), distilled.title(LORA)
    distilled.drag((x, y), (x + 50, y + 90))
    distilled.until("() => document.querySelectorAll('.advice').length === 1")
    after = box()
    assert (after["x"] - before["x"], after["y"] - before["y"]) == pytest.approx((50, 90), abs=2)
    distilled.camera(60, 120, 0.3)
    assert line(distilled).count() == 0, "too small to be read"


def test_a_sampler_that_suits_its_model_hears_nothing(editor):
    editor.open(HELLO)
    asked = "() => performance.getEntriesByType('resource').some(({ name }) => name.includes('model_facts/checkpoints'))"
    editor.until(asked)
    editor.settle()
    assert line(editor).count() == 0
