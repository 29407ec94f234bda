"""Packs that load, change and sample models get the very pictures the native nodes make."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.comfy.finder import close_door
from engine.comfy.host import host
from engine.folders import PROJECT, Folders
from engine.registry import Registry, load

from ..engine.toys import Loom

torch = pytest.importorskip("torch")
PACKS = Path(__file__).parent / "packs"
CHECKPOINT = "loom-demo.safetensors"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    from engine.comfy.faces.comfy import samplers as faces

    names, schedulers, handlers = list(faces.SAMPLER_NAMES), list(faces.SCHEDULER_NAMES), dict(faces.SCHEDULER_HANDLERS)
    found = load(packs=[PACKS], only=["models"])
    assert found.failures == []
    host().specs = found.specs
    yield found
    close_door()
    faces.SAMPLER_NAMES[:], faces.SCHEDULER_NAMES[:] = names, schedulers
    faces.SCHEDULER_HANDLERS.clear()
    faces.SCHEDULER_HANDLERS.update(handlers)


@pytest.fixture(scope="module")
def loom(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loom]:
    loom = Loom(specs=registry.specs, folders=Folders(base=tmp_path_factory.mktemp("base"), models=PROJECT / "models"))
    host().folders = loom.folders
    yield loom
    loom.executor.close()


def n(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def native(hung: str | None = None) -> dict[str, Any]:
    """Four steps of the demo model by native nodes; with something of a pack's hung on the model."""
    nodes = {
        "load": n("CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
        "pos": n("CLIPTextEncode", clip=["load", 1], text="a red circle"),
        "neg": n("CLIPTextEncode", clip=["load", 1], text=""),
        "empty": n("EmptyLatentImage", width=32, height=32, batch_size=1),
        "x": n(
            "KSampler", model=["load", 0], seed=7, steps=4, cfg=3.0, sampler_name="euler", scheduler="normal",
            positive=["pos", 0], negative=["neg", 0], latent_image=["empty", 0], denoise=1.0,
        ),
        "image": n("VAEDecode", samples=["x", 0], vae=["load", 2]),
        "show": n("Models Preview", images=["image", 0]),
    }  # fmt: skip
    if hung is not None:
        nodes["hung"] = n("Models Hung", model=["load", 0], what=hung)
        nodes["x"]["inputs"]["model"] = ["hung", 0]
    return nodes


def image(loom: Loom, nodes: dict[str, Any]) -> Any:
    return loom.run(nodes).values["show"][0]


@pytest.fixture(scope="module")
def expected(loom: Loom) -> Any:
    return image(loom, native())


@pytest.mark.parametrize("way", ["ksampler", "common", "custom", "guider", "node"])
def test_each_way_of_sampling_makes_the_same_picture(loom: Loom, expected: Any, way: str) -> None:
    nodes = {"x": n("Models Draw", ckpt=CHECKPOINT, steps=4, way=way, width=32), "show": n("Models Preview", images=["x", 0])}
    assert torch.allclose(image(loom, nodes), expected, atol=2e-3)


@pytest.mark.parametrize(
    "what",
    ["nothing", "cfg", "old cfg", "pre", "post", "wrapper", "attn1", "attn2 replace", "attn2 output", "diff", "input block",
     "output block", "again", "without attention", "outer_sample", "predict_noise", "calc_cond_batch", "apply_model",
     "diffusion_model", "prepare_sampling", "sampler_sample", "model of its own"],
)  # fmt: skip
def test_what_changes_nothing_changes_nothing(loom: Loom, expected: Any, what: str) -> None:
    assert torch.allclose(image(loom, native(what)), expected, atol=2e-3)


@pytest.mark.parametrize("what", ["scale", "weaker skips", "fewer steps", "other noise"])
def test_what_changes_something_changes_the_picture(loom: Loom, expected: Any, what: str) -> None:
    assert not torch.allclose(image(loom, native(what)), expected, atol=2e-2)


def test_a_sampler_wrapper_and_an_outer_one_cut_the_steps_alike(loom: Loom) -> None:
    assert torch.allclose(image(loom, native("half by sampler")), image(loom, native("fewer steps")), atol=1e-5)


def test_another_prompt_in_prepare_sampling_is_that_prompt(loom: Loom, expected: Any) -> None:
    nodes = native()
    nodes["x"]["inputs"]["positive"] = ["neg", 0]
    changed = image(loom, native("other prompt"))
    assert torch.allclose(changed, image(loom, nodes), atol=1e-5)
    assert not torch.allclose(changed, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("what", "times"),
    [("outer_sample", 1), ("predict_noise", 4), ("calc_cond_batch", 4), ("apply_model", 4), ("diffusion_model", 4),
     ("prepare_sampling", 1), ("sampler_sample", 1)],
)  # fmt: skip
def test_wrappers_and_callbacks_are_called(loom: Loom, what: str, times: int) -> None:
    called = seen("called", [])
    called.clear()
    nodes = native(what)
    nodes["x"]["inputs"]["seed"] = 8
    image(loom, nodes)
    assert called == ["before", *[what] * times, "after"]


def test_a_mask_function_decides_what_is_drawn(loom: Loom) -> None:
    nodes = native("mask")
    nodes["mask"] = n("SolidMask", value=0.5, width=32, height=32)
    nodes["masked"] = n("SetLatentNoiseMask", samples=["empty", 0], mask=["mask", 0])
    nodes["x"]["inputs"]["latent_image"] = ["masked", 0]
    called = seen("called", [])
    called.clear()
    image(loom, nodes)
    assert called == ["mask"] * 4


def test_perturbed_attention_as_packs_write_it_sees_another_prediction(loom: Loom) -> None:
    nodes = native("without attention")
    nodes["x"]["inputs"]["seed"] = 9
    image(loom, nodes)
    assert seen("difference", 0.0) > 1e-3


def seen(name: str, otherwise: Any) -> Any:
    """What the pack noted."""
    return sys.modules["custom_nodes.models"].SEEN.setdefault(name, otherwise)


def test_blocks_have_the_original_layouts_numbers(loom: Loom) -> None:
    image(loom, native("attn1"))
    seen = sys.modules["custom_nodes.models"].SEEN["blocks"]
    assert {("input", 3), ("input", 5), ("middle", 0), ("output", 0)} <= seen
    assert any(kind == "output" for kind, _ in seen)
    extra = sys.modules["custom_nodes.models"].SEEN["extra"]
    assert sorted(extra["cond_or_uncond"]) == [0, 1]
    assert extra["original_shape"] == [2, 4, 4, 4]
    assert len(extra["sample_sigmas"]) == 5
    assert extra["sigmas"][0] == pytest.approx(float(extra["sample_sigmas"][3]), rel=1e-3)
    assert extra["mine"] == 1


def test_what_a_pack_is_told(loom: Loom) -> None:
    loom.run(native("nothing"))
    seen = sys.modules["custom_nodes.models"].SEEN
    assert seen["format"] == 4
    assert seen["sigma"] > 10
    assert seen["mask"] == (1, 32, 32)
    assert tuple(seen["scaled"]) == (1, 3, 8, 16)
    assert seen["text"] == ("encode", ("LATENT",), "sample")
    assert seen["cast"] == torch.float32
    assert seen["free"] is True


def test_schedulers_and_samplers_that_packs_add_are_there_for_native_nodes(
    loom: Loom, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.comfy.additions import extended
    from engine.diffusion.samplers import SAMPLERS
    from engine.diffusion.schedules import SCHEDULERS

    for table, name in ((SAMPLERS, "steps"), (SCHEDULERS, "halving")):
        monkeypatch.setitem(table, name, None)  # type: ignore[arg-type]  # so that the name goes again when the test ends
        del table[name]  # type: ignore[attr-defined]
    specs = extended(registry.specs)
    choices = {port.name: port.choices for port in specs["KSampler"].inputs}
    assert "halving" in choices["scheduler"]  # type: ignore[operator]
    assert "steps" in choices["sampler_name"]  # type: ignore[operator]
    nodes = native()
    nodes["x"]["inputs"] |= {"scheduler": "halving", "sampler_name": "steps"}
    more = Loom(specs=specs, folders=loom.folders)
    assert image(more, nodes).shape == (1, 32, 32, 3)
    more.executor.close()


LORA = "loom-demo-lcm.safetensors"


def with_hooks(way: str, frames: bool) -> dict[str, Any]:
    """The demo model with a LoRA as hook on the positive prompt: by the pack, by its HOOKS, or by native nodes."""
    nodes = native()
    nodes["hook"] = n("CreateHookLora", lora_name=LORA, strength_model=0.75, strength_clip=0.0)
    nodes["first"] = n("CreateHookKeyframe", strength_mult=1.0, start_percent=0.0)
    nodes["frames"] = n("CreateHookKeyframe", strength_mult=0.5, start_percent=0.5, prev_hook_kf=["first", 0])
    nodes["framed"] = n("SetHookKeyframes", hooks=["hook", 0], hook_kf=["frames", 0])
    nodes["mine"] = n("Models Hooked", cond=["pos", 0], lora=LORA, frames=frames)
    given = {"pack": ["mine", 1], "native": ["framed" if frames else "hook", 0]}
    nodes["set"] = n("ConditioningSetProperties", cond_NEW=["pos", 0], strength=1.0, set_cond_area="default",
                     hooks=given.get(way, ["hook", 0]))  # fmt: skip
    nodes["x"]["inputs"]["positive"] = ["mine" if way == "pack's own" else "set", 0]
    return nodes


@pytest.mark.parametrize("frames", [False, True])
def test_hooks_that_packs_build_are_the_native_ones(loom: Loom, expected: Any, frames: bool) -> None:
    wanted = image(loom, with_hooks("native", frames))
    assert not torch.allclose(wanted, expected, atol=1e-3)
    for way in ("pack", "pack's own"):
        assert torch.allclose(image(loom, with_hooks(way, frames)), wanted, atol=1e-5), way


def test_native_hooks_go_through_a_pack_and_count_beside_its_own(loom: Loom) -> None:
    twice = with_hooks("pack", False)
    twice["mine"]["inputs"]["hooks"] = ["hook", 0]
    natively = with_hooks("native", False)
    natively["hook"]["inputs"]["strength_model"] = 1.5
    assert torch.allclose(image(loom, twice), image(loom, natively), atol=1e-4)
