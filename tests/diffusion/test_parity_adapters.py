"""ControlNet, T2I-Adapter and IP-Adapter together through a whole run, beside a loop of diffusers' scheduler and networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion import networks
from engine.diffusion.control import apply_control
from engine.diffusion.control_files import load_control
from engine.diffusion.edits.image_prompt import ImagePrompt
from engine.diffusion.families import unet
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.unet import UNetConfig
from engine.diffusion.ip_adapter import load_ip_adapter
from engine.diffusion.model import Model
from engine.diffusion.parts import Part
from engine.diffusion.pixels.resize import resize
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import ksampler
from tests.diffusion import originals
from tests.diffusion.originals import filled
from tests.diffusion.test_image_prompts import PICTURE, plus_tensors, vision

STEPS, CFG, SEED = 4, 3.0, 5  # three intervals: they divide the 999 timesteps
CONFIG = UNetConfig(4, 4, (32, 64), ((1,), (0,)), 1, ((0, 0), (1, 1)), 128, False, None)
SHAPE = (1, 4, 16, 16)


def reader(network: Any) -> dict[str, Tensor]:
    """An IP-Adapter's weights for every layer that reads text."""
    generator = torch.Generator().manual_seed(3)
    layers = [module for name, module in network.named_modules() if name.endswith("attn2")]
    return {
        f"ip_adapter.{2 * i + 1}.to_{part}_ip.weight": torch.randn(layer.to_q.out_features, 128, generator=generator) * 0.1
        for i, layer in enumerate(layers)
        for part in "kv"
    }


def files(folder: Path, network: Any) -> dict[str, dict[str, Tensor]]:
    shared = ("block_out_channels", "down_block_types", "mid_block_type", "cross_attention_dim", "attention_head_dim")
    control = {name: network.config[name] for name in shared} | {
        "in_channels": 4, "layers_per_block": 1, "transformer_layers_per_block": 1,
        "conditioning_embedding_out_channels": (16, 32, 96, 256),
    }  # fmt: skip
    t2i = {"in_channels": 3, "channels": [32, 64], "num_res_blocks": 2, "adapter_type": "full_adapter"}
    made = {
        "control": filled(networks.build("ControlNetModel", control).state_dict(), 5),
        "t2i": filled(networks.build("T2IAdapter", t2i).state_dict(), 7),
        "ip": plus_tensors() | reader(network),
    }
    for name, tensors in made.items():
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / f"{name}.safetensors")
    return made


@torch.no_grad()
def theirs(model: Model, made: dict[str, dict[str, Tensor]], nets: tuple[Any, Any], texts: list[Tensor]) -> Tensor:
    """The run in diffusers' terms: both sides in one batch, the adapters as its own code applies them."""
    from diffusers import EulerDiscreteScheduler

    network = networks.network_class("UNet2DConditionModel")(**unet.network_config(CONFIG))
    network.load_state_dict({name: t.float() for name, t in model.part.weights().items()})
    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in made["ip"].items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    network._load_ip_adapter_weights([parts], low_cpu_mem_usage=False)
    for processor in network.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [0.6]
    seen = torch.stack([vision().blank().penultimate_hidden_states, vision().encode(PICTURE[:1]).penultimate_hidden_states])
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace", steps_offset=0
    )
    scheduler.set_timesteps(STEPS)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(SEED)) * (scheduler.sigmas[0] ** 2 + 1) ** 0.5
    hint = resize(PICTURE[:1].movedim(-1, 1), 128, 128, "nearest-exact", "center").expand(2, -1, -1, -1)
    text = torch.cat([texts[1], texts[0]])
    features = [feature * 0.5 for feature in nets[1](hint)]
    for t in scheduler.timesteps:
        both = scheduler.scale_model_input(torch.cat([x, x]), t)
        down, mid = nets[0](both, t, text, hint, conditioning_scale=0.8, return_dict=False)
        eps = network(
            both, t, text, down_block_additional_residuals=down, mid_block_additional_residual=mid,
            down_intrablock_additional_residuals=[feature.clone() for feature in features],
            added_cond_kwargs={"image_embeds": [seen]},
        ).sample  # fmt: skip
        uncond, cond = eps.chunk(2)
        x = scheduler.step(uncond + CFG * (cond - uncond), t, x).prev_sample
    return x


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_with_three_adapters_equals_diffusers(tmp_path: Path) -> None:
    family = SD1(CONFIG)
    tensors = filled(originals.denoiser(family), 1)
    model = Model(Part("denoiser", family.build, family.keymap(tensors), tensors), family, Residency("cpu"))
    made = files(tmp_path, model.network())
    generator = torch.Generator().manual_seed(1)
    texts = [torch.randn(1, 77, 128, generator=generator) for _ in range(2)]
    control, t2i = (load_control(tmp_path / f"{name}.safetensors", Residency("cpu")) for name in ("control", "t2i"))
    positive, negative = ([[text, {}]] for text in texts)
    positive, negative = apply_control(positive, negative, control, PICTURE[:1], 0.8, 0.0, 1.0)
    positive, negative = apply_control(positive, negative, t2i, PICTURE[:1], 0.5, 0.0, 1.0)
    adapter = load_ip_adapter(tmp_path / "ip.safetensors", Residency("cpu"))
    edited = model.with_edit(ImagePrompt(adapter.attention, *adapter.tokens(vision(), PICTURE[:1]), weight=0.6))
    settings: dict[str, Any] = {"seed": SEED, "steps": STEPS, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal"}
    ours = ksampler(edited, positive, negative, {"samples": torch.zeros(SHAPE)}, **settings)["samples"]
    expected = theirs(model, made, (control.place(control.part), t2i.place(t2i.part)), texts) / 0.18215
    difference = (ours - expected).abs().max()
    assert difference < 1e-5 * expected.abs().max(), f"{difference} of {expected.abs().max()}"
    plain = ksampler(model, [[texts[0], {}]], [[texts[1], {}]], {"samples": torch.zeros(SHAPE)}, **settings)["samples"]
    assert (plain - ours).abs().max() > 0.1 * expected.abs().max()
