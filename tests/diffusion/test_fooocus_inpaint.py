"""Fooocus' inpainting patch: its bytes as numbers, its head after the first convolution, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.containers import CheckpointError
from engine.diffusion.edits.places import EditError
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.fooocus_inpaint import apply, load
from engine.diffusion.model import Model
from engine.diffusion.parts import Part
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import ksampler
from engine.folders import Folders
from engine.run import Job, Run
from engine.signature import spec_of
from engine.types import Conditioning, Image, Mask
from nodes.inpainting import apply_fooocus_inpaint, load_fooocus_inpaint, vae_encode_inpaint_conditioning
from tests.diffusion import originals
from tests.diffusion.demo import demo_model

CHANGED = ("input_blocks.0.0.weight", "middle_block.0.in_layers.2.weight", "out.2.weight", "label_emb.0.0.weight")


def model() -> Model:
    family = SDXL(originals.SDXL_TINY)
    tensors = originals.filled(originals.denoiser(family), 3)
    return Model(Part("denoiser", family.build, family.keymap(tensors), tensors), family, Residency("cpu", dtype=torch.float32))


def files(folder: Path, head: Tensor, scale: float = 1.0, prefix: str = "diffusion_model.") -> tuple[Path, Path, dict[str, Any]]:
    """Both files as Fooocus publishes them: pickles, a change as (bytes, lowest, highest)."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    weights, changes = model().part.stored, {}
    for name in CHANGED:
        codes = torch.randint(0, 256, weights[name].shape, dtype=torch.uint8, generator=generator)
        changes[name] = (codes, torch.tensor(-0.2 * scale), torch.tensor(0.3 * scale))
    torch.save({"head": head}, folder / "fooocus_inpaint_head.pth")
    torch.save({prefix + name: change for name, change in changes.items()}, folder / "inpaint_v26.fooocus.patch")
    return folder / "fooocus_inpaint_head.pth", folder / "inpaint_v26.fooocus.patch", changes


def hole(height: int = 8, width: int = 12) -> dict[str, Tensor]:
    mask = torch.zeros(1, height * 8, width * 8)
    mask[:, 16:40, 20:60] = 1
    return {"samples": torch.randn(1, 4, height, width, generator=torch.Generator().manual_seed(1)), "noise_mask": mask}


@pytest.mark.parametrize("prefix", ["diffusion_model.", "model.diffusion_model.", ""])
def test_changes_are_bytes_over_their_range(tmp_path: Path, prefix: str) -> None:
    head, patch, changes = files(tmp_path, torch.randn(32, 5, 3, 3), prefix=prefix)
    base = model()
    patched = apply(base, load(head, patch), hole())
    before, after = base.network().state_dict(), patched.network().state_dict()
    sources = {row.target: row.source for row in base.part.keymap}
    for name, weight in before.items():
        expected = weight
        if sources[name] in changes:
            codes, low, high = changes[sources[name]]
            expected = weight + (codes.double() / 255 * float(high - low) + float(low)).float()
        assert torch.allclose(after[name], expected, atol=1e-6), name
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.network().state_dict().items())


@torch.no_grad()
def test_the_head_sees_the_hole_and_is_added_after_the_first_convolution(tmp_path: Path) -> None:
    kernel = torch.randn(32, 5, 3, 3)
    head, patch, _ = files(tmp_path, kernel, scale=0.0)
    base, latent = model(), hole()
    patched = apply(base, load(head, patch), latent)
    network: Any = patched.network()
    x = torch.randn(2, 4, 8, 12)
    plain = network.conv_in(x)
    with patched.edits[0](network):
        changed = network.conv_in(x)
    mask = F.max_pool2d(latent["noise_mask"][:, None], 8).round()
    seen = torch.cat([mask, latent["samples"] * 0.13025], dim=1)
    features = F.conv2d(F.pad(seen, (1, 1, 1, 1), mode="replicate"), kernel)
    assert torch.allclose(changed - plain, features.expand(2, -1, -1, -1), atol=1e-5)
    assert torch.equal(network.conv_in(x), plain), "it comes off again"


def test_a_patch_of_nothing_is_the_model_itself(tmp_path: Path) -> None:
    head, patch, _ = files(tmp_path, torch.zeros(32, 5, 3, 3), scale=0.0)
    context, pooled = torch.randn(1, 77, 192), {"pooled_output": torch.randn(1, 128)}
    base, latent = model(), hole()
    drawn = [
        ksampler(one, [[context, pooled]], [[context * 0, pooled]], latent, seed=1, steps=2, cfg=2.0,
                 sampler_name="euler", scheduler="normal")["samples"]
        for one in (base, apply(base, load(head, patch), latent))
    ]  # fmt: skip
    assert torch.equal(*drawn)


def test_the_nodes_work_together(tmp_path: Path) -> None:
    files(tmp_path / "models" / "inpaint", torch.randn(32, 5, 3, 3))
    run = Run(job=Job(folders=Folders(base=tmp_path)))
    patch = load_fooocus_inpaint("fooocus_inpaint_head.pth", "inpaint_v26.fooocus.patch", run=run)
    from engine.diffusion.vae import Vae

    tensors = originals.filled(originals.vae(originals.VAE_TINY))
    found = originals.autoencoder_kl.part(tensors)
    assert found is not None
    pixels, mask = Image(torch.rand(1, 64, 96, 3)), Mask(torch.zeros(1, 64, 96))
    mask[:, 16:40, 20:60] = 1
    text = Conditioning([[torch.randn(1, 77, 192), {"pooled_output": torch.randn(1, 128)}]])
    told = vae_encode_inpaint_conditioning(text, text, Vae(found[1]), pixels, mask)
    assert told.latent_inpaint["samples"].shape == told.latent_samples["samples"].shape == (1, 4, 8, 12)
    assert not torch.equal(told.latent_inpaint["samples"], told.latent_samples["samples"])
    patched = apply_fooocus_inpaint(model(), patch, told.latent_inpaint)
    drawn = ksampler(patched, told.positive, told.negative, told.latent_samples, seed=1, steps=2, cfg=2.0,
                     sampler_name="euler", scheduler="normal")["samples"]  # fmt: skip
    assert torch.isfinite(drawn).all()
    assert spec_of(load_fooocus_inpaint).outputs[0].type == spec_of(apply_fooocus_inpaint).inputs[1].type == "INPAINT_PATCH"


def test_what_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    head, patch, _ = files(tmp_path, torch.randn(32, 5, 3, 3))
    with pytest.raises(CheckpointError, match="no Fooocus inpainting head"):
        load(patch, patch)
    with pytest.raises(CheckpointError, match="no Fooocus inpainting patch"):
        load(head, head)
    loaded = load(head, patch)
    with pytest.raises(ValueError, match="the latent has no mask"):
        apply(model(), loaded, {"samples": torch.zeros(1, 4, 8, 8)})
    with pytest.raises(ValueError, match="is for SDXL, and does not fit this Stable Diffusion 1 model"):
        apply(demo_model(), loaded, hole())
    patched = apply(model(), loaded, hole())
    network: Any = patched.network()
    with patched.edits[0](network), pytest.raises(EditError, match="connect the latent of the same picture to both"):
        network.conv_in(torch.zeros(1, 4, 16, 16))
