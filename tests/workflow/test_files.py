"""A workflow is found in whatever holds it; what holds none, or is broken, says so."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.metadata import exif, png_info
from engine.registry import load
from engine.workflow import infotext
from engine.workflow.definitions import describe_all
from engine.workflow.document import WorkflowError
from engine.workflow.files import from_data, from_text, read_file
from engine.workflow.layout import to_ui
from engine.workflow.media import read_media
from engine.workflow.reading import to_prompt
from tests.workflow.definitions import DEFS, node, workflow

DATA = Path(__file__).parent / "data"
SHIPPED = sorted((Path(__file__).parents[2] / "workflows").glob("*.json"))
PROMPT: dict[str, Any] = {"1": {"class_type": "Loader", "inputs": {"name": "a.safetensors"}}}
FLOW = workflow([node(1, "Loader", ["b.safetensors"], unknown_to_us={"kept": True})], [], extra={"x": 1})


@pytest.fixture(scope="module")
def definitions() -> dict[str, Any]:
    return describe_all(load().specs)


def picture(path: Path, prompt: Any = PROMPT, flow: Any = FLOW) -> Path:
    image = Image.new("RGB", (4, 4))
    if path.suffix == ".png":
        image.save(path, pnginfo=png_info(prompt, {"workflow": flow}))
    else:
        image.save(path, exif=exif(prompt, {"workflow": flow}))
    return path


@pytest.mark.parametrize("ending", [".png", ".webp", ".jpg"])
def test_a_picture_holds_both_forms(tmp_path: Path, ending: str) -> None:
    found = read_file(picture(tmp_path / f"a{ending}"))
    assert found.as_prompt(DEFS) == PROMPT
    assert found.as_workflow(DEFS) == FLOW


@pytest.mark.parametrize("name", ["tags.mp4", "comment.mp4", "tags.webm", "tags.flac"])
def test_films_and_sounds_written_by_ffmpeg(name: str) -> None:
    found = read_media(DATA / name)
    assert found["prompt"] == {"1": {"class_type": "A", "inputs": {}}}
    assert found["workflow"] == {"nodes": [], "links": []}


def test_latents_and_models_hold_them_too(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"prompt": json.dumps(PROMPT)}}).encode()
    path = tmp_path / "a.latent"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    assert read_file(path).as_prompt(DEFS) == PROMPT


INFOTEXT = """a <lora:fine:0.8> boat, (sunset:1.2)
on the sea
Negative prompt: blurry, "bad"
Steps: 25, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 1234, Size: 640x512, Model hash: abc, Model: my model, Clip skip: 2,
 Denoising strength: 0.55, Hires upscale: 1.5, Hires steps: 10, Hires upscaler: Latent, Lora hashes: "fine: 12, other: 34\""""


def test_infotext_becomes_a_prompt(definitions: dict[str, Any]) -> None:
    prompt = infotext.to_prompt(INFOTEXT.replace(",\n ", ", "))
    by_type = {entry["class_type"]: entry["inputs"] for entry in reversed(prompt.values())}
    assert by_type["CheckpointLoaderSimple"]["ckpt_name"] == "my model.safetensors"
    assert by_type["LoraLoader"]["lora_name"] == "fine.safetensors"
    assert by_type["LoraLoader"]["strength_model"] == 0.8
    assert by_type["CLIPTextEncode"]["text"] == "a  boat, (sunset:1.2)\non the sea"
    assert by_type["CLIPSetLastLayer"]["stop_at_clip_layer"] == -2
    assert by_type["EmptyLatentImage"] == {"width": 640, "height": 512, "batch_size": 1}
    samplers = [entry["inputs"] for entry in prompt.values() if entry["class_type"] == "KSampler"]
    assert [(s["steps"], s["denoise"]) for s in samplers] == [(25, 1.0), (10, 0.55)]
    assert all((s["sampler_name"], s["scheduler"], s["cfg"], s["seed"]) == ("dpmpp_2m", "karras", 6.5, 1234) for s in samplers)
    for entry in prompt.values():
        inputs = definitions[entry["class_type"]]["input"]
        assert set(entry["inputs"]) == set(inputs["required"])


def test_infotext_is_read_from_pictures(tmp_path: Path) -> None:
    text = "a boat\nSteps: 20, Sampler: Euler a, Size: 64x64"
    image = Image.new("RGB", (4, 4))
    info = png_info(None)
    info.add_text("parameters", text)
    image.save(tmp_path / "a.png", pnginfo=info)
    tags = Image.Exif()
    tags.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    image.save(tmp_path / "a.jpg", exif=tags)
    for name in ("a.png", "a.jpg"):
        kinds = [entry["class_type"] for entry in read_file(tmp_path / name).as_prompt(DEFS).values()]
        assert "KSampler" in kinds
    assert from_text(text).prompt is not None


def test_every_written_form_of_a_prompt() -> None:
    body = {"prompt": PROMPT, "client_id": "x", "extra_data": {"extra_pnginfo": {"workflow": FLOW}}}
    assert from_data(body).as_prompt(DEFS) == PROMPT
    assert from_data(body).extra == {"workflow": FLOW}
    assert from_data(PROMPT).as_prompt(DEFS) == PROMPT
    assert from_data({"workflow": FLOW}).as_prompt(DEFS)["1"]["inputs"] == {"name": "b.safetensors"}
    assert from_data(FLOW).as_workflow(DEFS) == FLOW


@pytest.mark.parametrize("text", ["", "hello", "[]", "{}", "null", "[1]", '{"a": 1}', "[" * 100_000, '{"prompt": 3}', "NaN"])
def test_what_holds_no_workflow_says_so(text: str) -> None:
    with pytest.raises(WorkflowError):
        from_text(text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="There is no file"):
        read_file(tmp_path / "no.json")
    (tmp_path / "large.json").write_bytes(b" " * 2000)
    with pytest.raises(WorkflowError, match="at most"):
        read_file(tmp_path / "large.json", limit=1000)
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    with pytest.raises(WorkflowError, match="nothing of its making"):
        read_file(tmp_path / "plain.png")


@pytest.mark.parametrize("name", ["tags.mp4", "comment.mp4", "tags.webm", "tags.flac", "a.png", "a.webp", "a.jpg"])
def test_a_truncated_file_does_no_harm(tmp_path: Path, name: str) -> None:
    data = (DATA / name).read_bytes() if name[0] != "a" else picture(tmp_path / name).read_bytes()
    path = tmp_path / f"cut{Path(name).suffix}"
    for length in range(0, len(data), max(1, len(data) // 150)):
        path.write_bytes(data[:length])
        read_media(path)


@given(
    st.binary(max_size=400), st.sampled_from([b"\0\0\0\x18ftyp", b"\x1aE\xdf\xa3", b"fLaC", b"\x89PNG\r\n\x1a\n", b"RIFF", b""])
)
def test_random_bytes_do_no_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.bin"
    path.write_bytes(head + data)
    read_media(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_workflow_survives_both_forms(path: Path, definitions: dict[str, Any]) -> None:
    """prompt -> workflow -> prompt"""
    prompt = read_file(path).as_prompt(definitions)
    again = to_prompt(to_ui(prompt, definitions), definitions)
    assert {key: (entry["class_type"], entry["inputs"]) for key, entry in again.items()} == {
        key: (entry["class_type"], {**defaults_of(definitions, entry), **entry["inputs"]}) for key, entry in prompt.items()
    }


def defaults_of(definitions: dict[str, Any], entry: Any) -> dict[str, Any]:
    from engine.workflow.reading import default_values

    return dict(default_values(definitions[entry["class_type"]]))


def test_a_layout_never_overlaps() -> None:
    prompt: dict[str, Any] = {"0": {"class_type": "Loader", "inputs": {}}}
    for n in range(1, 400):
        prompt[str(n)] = {"class_type": "Any", "inputs": {"value": [str(n // 2), 0]}}
    boxes = [(*found["pos"], *found["size"]) for found in to_ui(prompt, DEFS)["nodes"]]
    for i, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[:i]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_a_cycle_in_a_prompt_still_gets_a_layout() -> None:
    prompt = {
        "a": {"class_type": "Any", "inputs": {"value": ["b", 0]}},
        "b": {"class_type": "Any", "inputs": {"value": ["a", 0]}},
    }
    assert len(to_ui(prompt, DEFS)["links"]) == 2
