"""What the demo model's recipe writes is what the engine reads, and what ships can be gone on from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.diffusion.containers import read_tensors
from engine.diffusion.guidance import basic_guider
from engine.diffusion.lora import read_adapters
from tests.diffusion.demo import CHECKPOINT, demo_model, prompt
from tools.demo_model.architecture import build_text, build_unet, build_vae
from tools.demo_model.diffusion import alphas_cumprod
from tools.demo_model.ldm_layout import State, ldm_text, ldm_unet, ldm_vae
from tools.demo_model.lora import Lora
from tools.demo_model.unpack import fill


@pytest.fixture(scope="module")
def file() -> State:
    return load_file(CHECKPOINT)


def test_the_shipped_file_unpacked_and_packed_again_is_itself(file: State) -> None:
    """Bit for bit, and nothing is left over."""
    packed: dict[str, Tensor] = {}
    for build, names in ((build_unet, ldm_unet), (build_vae, ldm_vae), (build_text, ldm_text)):
        module = build()
        fill(module, names(module.state_dict()), file)
        packed |= names(module.state_dict())
    assert packed.keys() == file.keys()
    assert all(torch.equal(packed[name].half(), tensor) for name, tensor in file.items())


def test_a_lora_of_the_recipe_means_the_same_to_the_engine(file: State, tmp_path: Path) -> None:
    """The trained change in training, and the file at strength 1, on the same noisy latent."""
    unet = build_unet().eval()
    fill(unet, ldm_unet(unet.state_dict()), file)
    torch.manual_seed(1)
    lora = Lora(unet, 8)
    for up in lora.up.values():
        torch.nn.init.normal_(up, std=0.02)
    lora.save(tmp_path / "lora.safetensors", {})
    model = demo_model()
    adapters = read_adapters(read_tensors(tmp_path / "lora.safetensors").tensors, [model.part])
    patched, t, context = model.with_patches(adapters[0]), torch.tensor(499), prompt(1)
    x, alpha = torch.randn(1, 4, 16, 16), alphas_cumprod()[499]
    sigma = ((1 - alpha) / alpha).sqrt()
    with torch.no_grad():
        noise = lora.call(unet, x, t, context[0][0])
        network = patched.network()
        denoised = basic_guider(patched, context).start(network, x, None, None)(x / alpha.sqrt(), sigma)
        plain = unet(x, t, context[0][0]).sample
    ours = (x / alpha.sqrt() - denoised) / sigma
    assert (ours - noise).abs().max() < 0.02 * (noise - plain).abs().max()
