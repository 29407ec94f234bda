"""Nodes that steer a model, in prompts run from end to end on files of each kind made for the demo model."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.cache import Cache
from engine.diffusion import networks
from engine.diffusion.edits.places import attentions
from engine.diffusion.families import unet
from engine.diffusion.vision.network import ClipImage, VisionConfig
from engine.events import Progress
from engine.executors.local import LocalExecutor
from engine.failure import NodeError
from engine.folders import PROJECT, Folders
from engine.graph import build
from engine.prompt import parse
from engine.registry import load
from engine.run import Emit, Job, ignore
from tests.diffusion.demo import demo_model
from tests.diffusion.originals import filled
from tests.diffusion.test_control import original_layout
from tests.diffusion.test_hooks import lora
from tests.diffusion.test_image_prompts import plain_tensors
from tests.diffusion.test_picture_words import lllite_tensors

EYE = VisionConfig(64, 2, 128, 1, "quick_gelu", 8, 32, 48)


def ip_adapter() -> dict[str, Tensor]:
    layers = [layer for _, layer in attentions(demo_model().network(), "attn2")]
    shapes = {f"ip_adapter.{2 * i + 1}.to_{p}_ip.weight": layer.to_k.weight.new_empty(layer.to_q.out_features, 128)
                      for i, layer in enumerate(layers) for p in "kv"}  # fmt: skip
    return plain_tensors() | filled(shapes, 4)


def gligen() -> dict[str, Tensor]:
    config: Any = demo_model().family.config  # type: ignore[attr-defined]
    network = networks.build("UNet2DConditionModel", unet.network_config(config) | {"attention_type": "gated"})
    made = filled({n: t for n, t in network.state_dict().items() if ".fuser." in n or "position_net" in n}, 5)
    table = {ours: original for original, ours in unet.modules(config).items()}
    file = {}
    for name, tensor in made.items():
        head, middle, rest = name.partition(".transformer_blocks.")
        file[f"{table[head]}{middle}{rest}" if middle else name] = tensor + 0.7 if ".alpha_" in name else tensor
    return file


def style() -> dict[str, Tensor]:
    from engine.diffusion.style_model import StyleAdapter

    return filled(StyleAdapter(64, 128, 3, 1).state_dict(), 2)


FILES = {
    "loras/lines.safetensors": lora, "controlnet/edges.safetensors": original_layout,
    "controlnet/lllite.safetensors": lllite_tensors, "ipadapter/plain.safetensors": ip_adapter,
    "gligen/boxes.safetensors": gligen, "style_models/style.safetensors": style,
    "clip_vision/eye.safetensors": lambda: filled(ClipImage(EYE).state_dict(), 6),
}  # fmt: skip


class Studio:
    """One executor and its models for the tests of the module."""

    def __init__(self, base: Path) -> None:
        from engine.diffusion.residency import Residency

        for name, make in FILES.items():
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            save_file({key: tensor.float().contiguous() for key, tensor in make().items()}, base / name)
        kinds = {"checkpoints"} | {name.split("/")[0] for name in FILES}
        extra = {kind: (base / kind,) for kind in kinds}
        self.folders = Folders(base=base, models=PROJECT / "models", input=PROJECT / "input", extra=extra)
        self.specs = load().specs
        self.executor = LocalExecutor(self.specs, Cache(200_000_000))
        self.residency = functools.cache(partial(Residency, "cpu"))

    def draw(self, nodes: dict[str, Any], emit: Emit = ignore) -> np.ndarray[Any, Any]:
        prompt = parse(json.loads(json.dumps(nodes)))
        job = Job(
            id=uuid.uuid4().hex, prompt=prompt.raw, extra=prompt.extra, folders=self.folders, residency=self.residency, emit=emit
        )  # fmt: skip
        results = self.executor.run_sync(build(prompt, self.specs, self.folders), job)
        [shown] = [image for ui in results.ui.values() for image in ui.get("images", [])]
        return np.asarray(PILImage.open(self.folders.work(shown["type"]) / shown["subfolder"] / shown["filename"])).astype(int)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    made = Studio(tmp_path_factory.mktemp("adapters"))
    with made.executor:
        yield made


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": {name: value for name, value in inputs.items() if value is not None}}


def prompt(**more: Any) -> dict[str, Any]:
    """Two steps of the demo model; ``more`` adds nodes, and those called "model", "positive" and "negative" take the place."""
    nodes = {
        "file": node("CheckpointLoaderSimple", ckpt_name="loom-demo.safetensors"),
        "text": node("CLIPTextEncode", text="a red boat", clip=["file", 1]),
        "nothing": node("CLIPTextEncode", text="", clip=["file", 1]),
        "latent": node("EmptyLatentImage", width=128, height=128, batch_size=1),
        "picture": node("LoadImage", image="example.png"),
        **more,
    }
    model = ["model", 0] if "model" in more else ["file", 0]
    positive = ["positive", 0] if "positive" in more else ["text", 0]
    negative = ["negative", 0] if "negative" in more else ["positive", 1] if "pair" in more else ["nothing", 0]
    nodes.pop("pair", None)
    nodes |= {
        "sampler": node(
            "KSampler", model=model, positive=positive, negative=negative, latent_image=["latent", 0], seed=3, steps=3, cfg=4.0,
            sampler_name="euler", scheduler="normal", denoise=1.0,
        ),
        "decoded": node("VAEDecode", samples=["sampler", 0], vae=["file", 2]),
        "save": node("SaveImage", images=["decoded", 0], filename_prefix="steered"),
    }  # fmt: skip
    return nodes


EYES = {"eye": node("CLIPVisionLoader", clip_name="eye.safetensors")}
HOOK = {"hook": node("CreateHookLora", lora_name="lines.safetensors", strength_model=1.0, strength_clip=1.0)}
RAMP = {"frames": node("CreateHookKeyframesInterpolated", strength_start=1.0, strength_end=0.0, keyframes_count=3),
        "ramped": node("SetHookKeyframes", hooks=["hook", 0], hook_kf=["frames", 0])}  # fmt: skip
NET = {"net": node("ControlNetLoader", control_net_name="edges.safetensors"),
       "edges": node("Canny", image=["picture", 0], low_threshold=0.1, high_threshold=0.3)}  # fmt: skip
MASK = {"mask": node("SolidMask", value=1.0, width=128, height=128)}

STEERED: dict[str, dict[str, Any]] = {
    "a hook on one prompt": {**HOOK, "positive": node("ConditioningSetProperties", cond_NEW=["text", 0], hooks=["hook", 0])},
    "keyframes and text hooks": {
        **HOOK, **RAMP, "clip": node("SetClipHooks", clip=["file", 1], hooks=["ramped", 0], schedule_clip=True),
        "positive": node("CLIPTextEncode", text="a red boat", clip=["clip", 0]),
    },
    "a model as a hook, over a pair": {
        "hook": node("CreateHookModelAsLoraModelOnly", ckpt_name="loom-demo.safetensors", strength_model=1.0),
        "other": node("CLIPTextEncode", text="a green tree", clip=["file", 1]), **MASK, "pair": True,
        "positive": node("PairConditioningSetPropertiesAndCombine", positive=["text", 0], negative=["nothing", 0],
                         positive_NEW=["other", 0], negative_NEW=["nothing", 0], mask=["mask", 0], hooks=["hook", 0]),
    },
    "a control net": {
        **NET, "pair": True, "kind": node("SetUnionControlNetType", control_net=["net", 0], type="auto"),
        "positive": node("ControlNetApplyAdvanced", positive=["text", 0], negative=["nothing", 0], control_net=["kind", 0],
                         image=["edges", 0], strength=1.0, start_percent=0.0, end_percent=1.0),
    },
    "a control net under a mask": {
        **NET, **MASK, "pair": True,
        "positive": node("ControlNetApplyMasked", positive=["text", 0], negative=["nothing", 0], control_net=["net", 0],
                         image=["edges", 0], mask=["mask", 0]),
    },
    "an IP-Adapter": {
        **EYES, "adapter": node("LoadIPAdapter", ip_adapter_name="plain.safetensors"),
        "model": node("ApplyIPAdapter", model=["file", 0], ip_adapter=["adapter", 0], clip_vision=["eye", 0],
                      image=["picture", 0]),
    },
    "LLLite": {"model": node("ApplyLLLite", model=["file", 0], lllite_name="lllite.safetensors", image=["square", 0]),
               "square": node("ImageScale", image=["picture", 0], upscale_method="area", width=128, height=128, crop="center")},
    "GLIGEN": {
        "boxes": node("GLIGENLoader", gligen_name="boxes.safetensors"),
        "positive": node("GLIGENTextBoxApply", conditioning_to=["text", 0], clip=["file", 1], gligen_textbox_model=["boxes", 0],
                         text="a boat", width=64, height=64, x=32, y=32),
    },
    "a style": {
        **EYES, "seen": node("CLIPVisionEncode", clip_vision=["eye", 0], image=["picture", 0], crop="center"),
        "style": node("StyleModelLoader", style_model_name="style.safetensors"),
        "positive": node("StyleModelApply", conditioning=["text", 0], style_model=["style", 0], clip_vision_output=["seen", 0]),
    },
    "skipped layers": {"model": node("SkipLayerGuidanceUNet", model=["file", 0], scale=3.0, blocks="middle.0")},
    "bfloat16": {"model": node("ModelComputeDtype", model=["file", 0], dtype="bf16")},
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(studio: Studio) -> np.ndarray[Any, Any]:
    return studio.draw(prompt())


@pytest.mark.parametrize("name", list(STEERED))
def test_it_steers_the_picture(name: str, studio: Studio, plain: np.ndarray[Any, Any]) -> None:
    drawn = studio.draw(prompt(**STEERED[name]))
    assert drawn.shape == plain.shape
    assert np.abs(drawn - plain).mean() > (0.05 if name == "bfloat16" else 1.0)


def test_the_inpainting_node_cuts_the_hole_that_the_hint_node_cuts(studio: Studio) -> None:
    hole = {"hole": node("SolidMask", value=1.0, width=64, height=64), **NET, "pair": True}
    steering = {"positive": ["text", 0], "negative": ["nothing", 0], "control_net": ["net", 0]}
    shown = {"shown": node("InpaintHint", image=["picture", 0], mask=["hole", 0], black=False)}
    by_hint = studio.draw(
        prompt(**hole, **shown, positive=node("ControlNetApplyAdvanced", **steering, image=["shown", 0], end_percent=1.0))
    )
    inpainting = node(
        "ControlNetInpaintingAliMamaApply", **steering, vae=["file", 2], image=["picture", 0], mask=["hole", 0], end_percent=1.0
    )
    assert np.array_equal(studio.draw(prompt(**hole, positive=inpainting)), by_hint)
    whole = node("ControlNetApplyAdvanced", **steering, image=["picture", 0], end_percent=1.0)
    assert np.abs(studio.draw(prompt(**NET, pair=True, positive=whole)) - by_hint).mean() > 1.0


def custom(guided: bool) -> dict[str, Any]:
    """A custom sampler's run of one step, with a guider or without."""
    parts = {
        "noise": node("RandomNoise", noise_seed=3), "euler": node("KSamplerSelect", sampler_name="euler"),
        "sigmas": node("BasicScheduler", model=["file", 0], scheduler="normal", steps=1, denoise=1.0),
        "guider": node("CFGGuider", model=["file", 0], positive=["text", 0], negative=["nothing", 0], cfg=4.0),
    }  # fmt: skip
    walk = {"sampler": ["euler", 0], "sigmas": ["sigmas", 0], "latent_image": ["latent", 0]}
    if guided:
        return {**parts, "sampler": node("SamplerCustomAdvanced", noise=["noise", 0], guider=["guider", 0], **walk)}
    prompts = {"positive": ["text", 0], "negative": ["nothing", 0]}
    return {**parts, "sampler": node("SamplerCustom", model=["file", 0], noise_seed=3, cfg=4.0, **prompts, **walk)}


@pytest.mark.parametrize("kind", ["KSampler", "SamplerCustom", "SamplerCustomAdvanced"])
@pytest.mark.parametrize(("channels", "words"), [(9, "without a hole to fill"), (8, "edits a picture and got none")])
def test_every_sampler_says_what_a_model_was_not_given(kind: str, channels: int, words: str, studio: Studio) -> None:
    [file] = studio.folders.models.glob("checkpoints/loom-demo.safetensors")
    name, first = f"{channels}.safetensors", "model.diffusion_model.input_blocks.0.0.weight"
    wider = studio.folders.base / "checkpoints" / name
    if not wider.exists():
        tensors = load_file(file)
        tensors[first] = torch.nn.functional.pad(tensors[first], (0, 0, 0, 0, 0, channels - 4))
        wider.parent.mkdir(exist_ok=True)
        save_file(tensors, wider)
    nodes = prompt()
    if kind != "KSampler":
        nodes |= custom(kind == "SamplerCustomAdvanced")
    nodes["file"]["inputs"]["ckpt_name"] = name
    notes: list[str] = []
    studio.draw(nodes, lambda event: notes.append(event.note) if isinstance(event, Progress) else None)
    assert any(words in note and "connect" in note for note in notes)


@pytest.mark.parametrize("kind", ["KSampler", "SamplerCustom", "SamplerCustomAdvanced"])
def test_every_sampler_says_that_a_prompt_is_another_model_s(kind: str, studio: Studio) -> None:
    seen = {"clip_vision": ["eye", 0], "init_image": ["picture", 0]}
    film = node("SVD_img2vid_Conditioning", **seen, vae=["file", 2], width=64, height=64)
    nodes = prompt(**EYES, text=film) | ({} if kind == "KSampler" else custom(kind == "SamplerCustomAdvanced"))
    with pytest.raises(NodeError, match=r"48 numbers wide, but this model reads 128. Make the prompt with"):
        studio.draw(nodes)


def test_all_at_once_and_none_at_strength_0(studio: Studio, plain: np.ndarray[Any, Any]) -> None:
    """A chain of every kind draws; the same chain at strength 0 is the plain picture."""

    def chain(strength: float) -> dict[str, Any]:
        return {
            **EYES, **NET, "pair": True,
            "hook": node("CreateHookLora", lora_name="lines.safetensors", strength_model=strength, strength_clip=strength),
            "hooked": node("ConditioningSetProperties", cond_NEW=["text", 0], hooks=["hook", 0]),
            "positive": node("ControlNetApplyAdvanced", positive=["hooked", 0], negative=["nothing", 0], control_net=["net", 0],
                             image=["edges", 0], strength=strength, start_percent=0.0, end_percent=1.0),
            "adapter": node("LoadIPAdapter", ip_adapter_name="plain.safetensors"),
            "prompted": node("ApplyIPAdapter", model=["file", 0], ip_adapter=["adapter", 0], clip_vision=["eye", 0],
                             image=["picture", 0], weight=strength),
            "perturbed": node("PerturbedAttentionGuidance", model=["prompted", 0], scale=strength),
            "model": node("EasyCache", model=["perturbed", 0], reuse_threshold=0.0),
        }  # fmt: skip

    assert np.abs(studio.draw(prompt(**chain(1.0))) - plain).mean() > 1.0
    assert np.abs(studio.draw(prompt(**chain(0.0))) - plain).max() <= 1
