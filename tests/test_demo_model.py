"""What the demo model's recipe writes is what the engine reads, and what ships can be gone on from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.containers import read_tensors
from engine.diffusion.diversity_run import Bench
from engine.diffusion.guidance import basic_guider
from engine.diffusion.lora import read_adapters
from engine.diffusion.residency import Residency
from tests.diffusion.demo import CHECKPOINT, demo_model, prompt
from tools.demo_model.architecture import SCALE, build_text, build_unet, build_vae
from tools.demo_model.diffusion import alphas_cumprod
from tools.demo_model.figures import DOCS, PAGES, written
from tools.demo_model.judge import load_judge
from tools.demo_model.ldm_layout import State, ldm_text, ldm_unet, ldm_vae
from tools.demo_model.lora import Lora
from tools.demo_model.prompts import Wanted
from tools.demo_model.unpack import fill
from tools.demo_model.ways import Ways

LORA = CHECKPOINT.parents[1] / "loras" / "loom-demo-lcm.safetensors"


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


def test_the_study_s_judge_sees_what_was_asked_for_and_not_what_was_not() -> None:
    """Pictures of each of four prompts are right by their own and not by the others, also where only colour or order differ."""
    cars = [Wanted((thing,), "white") for thing in ("red car", "blue car")]
    wanted = (*cars, Wanted(("cat", "dog"), "blue"), Wanted(("dog", "cat"), "blue"))
    assert str(wanted[2]) == "a cat and a dog on a blue background"
    checkpoint, judge = load_checkpoint(CHECKPOINT, Residency("cpu")), load_judge()
    assert checkpoint.clip is not None
    assert checkpoint.vae is not None
    bench = Bench(checkpoint.clip, checkpoint.vae, tuple(map(str, wanted)), seeds=4, first_seed=1, width=128, height=128)
    lora = read_adapters(read_tensors(LORA).tensors, [checkpoint.model.part])[0]
    drawn = bench.measure(Ways(checkpoint.model, lora).guided(8)).images
    latents = [checkpoint.vae.encode(images) * SCALE for images in drawn]
    right = [[float(torch.stack([*one.seen(z, judge).values()]).prod(0).mean()) for one in wanted] for z in latents]
    for k, row in enumerate(right):
        assert row[k] >= 0.5
        assert all(other <= row[k] / 3 for j, other in enumerate(row) if j != k)


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_have_the_figures_that_were_measured(page: str) -> None:
    """``python -m tools.demo_model.figures`` writes them."""
    text = (DOCS / page).read_text()
    assert text.count("<!-- figures: ") == 7
    assert written(text, PAGES[page]) == text
