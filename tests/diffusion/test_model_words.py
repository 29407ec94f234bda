"""What is said about model files that do not go with the rest of a graph, each in a sentence with the cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine import events
from engine.diffusion.clip import Clip
from engine.diffusion.families import beside
from engine.diffusion.timeline import Segment, Timeline
from engine.folders import Folders
from engine.run import Job, Run
from engine.types import Conditioning
from nodes.loaders import checkpoint_loader, checkpoint_loader_simple
from nodes.lora_files import lora_loader_blocks, lora_loader_model_only
from nodes.sampling import ksampler
from nodes.timeline import timeline_lora
from tests.diffusion import originals
from tests.diffusion.demo import demo_model
from tests.diffusion.test_checkpoints import saved, sd1

NOTHING_READ = Clip(())
"""A text encoder without a tower: nothing in a file is for it."""


def job(base: Path) -> tuple[Run, list[Any]]:
    """A run whose models are in ``base``/models, and the events it emits."""
    told: list[Any] = []
    return Run(job=Job(folders=Folders(base=base), emit=told.append)), told


def notes(told: list[Any]) -> list[str]:
    return [event.note for event in told if isinstance(event, events.Progress) and event.note]


def test_a_loader_says_what_the_file_is_and_what_to_try(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    saved(folder / "a.safetensors", sd1(v_pred=torch.zeros(0)))
    run, told = job(tmp_path)
    checkpoint_loader_simple("a.safetensors", run=run)
    assert notes(told) == ["Stable Diffusion 1, predicts v. Try 20 steps, cfg 4, euler normal, 128 x 128."]


@pytest.mark.parametrize(
    ("channels", "said"), [(4, None), (9, "connect InpaintModelConditioning"), (8, "connect InstructPixToPixConditioning")]
)
def test_a_model_that_wants_a_picture_says_so_and_draws(channels: int, said: str | None, tmp_path: Path) -> None:
    from engine.diffusion.model import Model
    from engine.diffusion.parts import Part
    from engine.diffusion.residency import Residency

    family = originals.SD1(originals.replace(originals.SD1_TINY, in_channels=channels))
    tensors = originals.filled(originals.denoiser(family))
    model = Model(Part("denoiser", family.build, family.keymap(tensors), tensors), family, Residency("cpu"))
    text = Conditioning([[torch.randn(1, 77, 64), {}]])
    run, told = job(tmp_path)
    blank = {"samples": torch.zeros(1, 4, 8, 8)}
    drawn = ksampler(model, 1, 2, 2.0, "euler", "normal", positive=text, negative=text, latent_image=blank, run=run)  # type: ignore[typeddict-item]
    assert drawn["samples"].isfinite().all()
    assert (notes(told) == []) if said is None else (said in notes(told)[0])
    masked = {**blank, "noise_mask": torch.ones(1, 8, 8)}
    run, told = job(tmp_path)
    ksampler(model, 1, 2, 2.0, "euler", "normal", positive=text, negative=text, latent_image=masked, run=run)  # type: ignore[typeddict-item]
    assert notes(told) == []


def test_an_inpainting_network_without_a_mask_sees_grey() -> None:
    """As ComfyUI shows it: everything is to be drawn, on mid grey, not on the latent's zero."""
    family = originals.SD1(originals.SD1_INPAINT)
    seen = family.condition(torch.zeros(1, 77, 768), {}, torch.zeros(1, 4, 8, 8))["concat"]
    assert seen[:, 0].eq(1).all()
    assert torch.allclose(seen[0, 1:, 0, 0], torch.tensor(beside.GREY))


def test_a_training_configuration_tells_prediction_and_layer(tmp_path: Path) -> None:
    for kind in ("checkpoints", "configs"):
        (tmp_path / "models" / kind).mkdir(parents=True)
    saved(tmp_path / "models" / "checkpoints" / "a.safetensors", sd1())
    configs = {
        "v2-inference-v.yaml": 'model:\n  params:\n    parameterization: "v"\n',
        "v1-inference_clip_skip_2.yaml": "model:\n  params:\n    cond_stage_config:\n      params:\n        layer_idx: -2\n",
    }
    run, _ = job(tmp_path)
    kinds, layers = [], []
    for name, text in configs.items():
        (tmp_path / "models" / "configs" / name).write_text(text)
        model, clip, _ = checkpoint_loader(name, "a.safetensors", run=run)
        kinds.append(model.family.prediction.kind)
        layers.append(clip.encode("a red cat")[0][0])  # type: ignore[union-attr]
    plain = checkpoint_loader_simple("a.safetensors", run=run).clip
    assert kinds == ["v", "eps"]
    assert torch.equal(layers[0], plain.encode("a red cat")[0][0])  # type: ignore[union-attr]
    assert torch.equal(layers[1], plain.with_last_layer(-2).encode("a red cat")[0][0])  # type: ignore[union-attr]


def test_what_a_lora_changes_that_the_model_has_not_is_told(tmp_path: Path) -> None:
    (tmp_path / "models" / "loras").mkdir(parents=True)
    base = demo_model()
    module = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    width = base.part.weights()["mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"].shape[0]
    fits = {f"{module}.lora_up.weight": torch.randn(width, 2), f"{module}.lora_down.weight": torch.randn(2, width)}
    text = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.randn(4, 2)}
    odd = {f"lora_unet_nowhere_{i}.lora_{side}.weight": torch.randn(2, 2) for i in range(2) for side in ("up", "down")}
    for tensors, said in ((fits | text, []), (fits | odd, ["2 parts of a.safetensors have no place in this model"])):
        saved(tmp_path / "models" / "loras" / "a.safetensors", tensors)
        givens: list[tuple[Any, ...]] = [(base,), (base, NOTHING_READ), (Timeline((Segment(base, 1.0),)),)]
        for apply, given in zip((lora_loader_model_only, lora_loader_blocks, timeline_lora), givens, strict=True):
            run, told = job(tmp_path)
            apply(*given, "a.safetensors", run=run)
            assert [words.split(" and were")[0] for words in notes(told)] == said
