"""TAESD beside the network as its author writes it, and its uses: Load VAE's ``taesd``, previews."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.diffusion import autoencoder_tiny
from engine.diffusion.checkpoints import load_vae
from engine.diffusion.containers import CheckpointError
from engine.diffusion.families import LATENTS
from engine.diffusion.parts import PlaceOnCpu
from engine.diffusion.preview import preview
from engine.folders import Folders
from engine.run import Job, Run
from nodes.loaders import VaeFiles, vae_loader
from nodes.reports import sharp

SD1, SDXL = LATENTS


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        conv = [nn.Conv2d(width, width, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(conv[0], nn.ReLU(), conv[1], nn.ReLU(), conv[2])

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)


class Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


def down() -> list[nn.Module]:
    return [nn.Conv2d(64, 64, 3, 2, 1, bias=False), Block(64), Block(64), Block(64)]


def up() -> list[nn.Module]:
    return [Block(64), Block(64), Block(64), nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1, bias=False)]


def encoder() -> nn.Sequential:
    """Pictures in 0..1 to latents (taesd.py of madebyollin/taesd)."""
    first = [nn.Conv2d(3, 64, 3, padding=1), Block(64)]
    return nn.Sequential(*first, *down(), *down(), *down(), nn.Conv2d(64, 4, 3, padding=1))


def decoder() -> nn.Sequential:
    """Latents to pictures in 0..1."""
    first = [Clamp(), nn.Conv2d(4, 64, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*first, *up(), *up(), *up(), Block(64), nn.Conv2d(64, 3, 3, padding=1))


@pytest.fixture(scope="module")
def both() -> tuple[nn.Sequential, nn.Sequential]:
    torch.manual_seed(0)
    return encoder().eval(), decoder().eval()


@pytest.fixture
def models(tmp_path: Path, both: tuple[nn.Sequential, nn.Sequential]) -> Folders:
    """A models folder with two TAESDs of equal weights, as their author publishes them."""
    folder = tmp_path / "models" / "vae_approx"
    folder.mkdir(parents=True)
    for name in ("taesd", "taesdxl"):
        torch.save(both[0].state_dict(), folder / f"{name}_encoder.pth")
        torch.save(both[1].state_dict(), folder / f"{name}_decoder.pth")
    return Folders(base=tmp_path)


@pytest.mark.parametrize(("name", "latent"), [("taesd", SD1), ("taesdxl", SDXL)])
@torch.no_grad()
def test_it_says_what_its_authors_network_says(
    name: str, latent: object, models: Folders, both: tuple[nn.Sequential, nn.Sequential]
) -> None:
    """Latents between nodes are the VAE's, its own are those a denoiser sees: the scale lies between."""
    vae = vae_loader(name, run=Run(job=Job(folders=models)))
    assert vae.latent is latent
    scale = {"taesd": 0.18215, "taesdxl": 0.13025}[name]
    z, pixels = torch.randn(2, 4, 6, 8) / scale, torch.rand(2, 48, 64, 3)
    assert torch.allclose(vae.decode(z), both[1](z * scale).clamp(0, 1).movedim(1, -1), atol=1e-4)
    assert torch.allclose(vae.encode(pixels), both[0](pixels.movedim(-1, 1)) / scale, atol=1e-4, rtol=1e-4)
    assert torch.allclose(vae.decode_tiled(z, 512, 64), vae.decode(z), atol=1e-4)


def test_both_sides_may_be_one_file(both: tuple[nn.Sequential, nn.Sequential], models: Folders, tmp_path: Path) -> None:
    """In diffusers' layout, or under ``taesd_encoder`` and ``taesd_decoder``."""
    prefixed = {f"taesd_encoder.{n}": t for n, t in both[0].state_dict().items()}
    prefixed |= {f"taesd_decoder.{n}": t for n, t in both[1].state_dict().items()}
    pair = vae_loader("taesdxl", run=Run(job=Job(folders=models)))
    own = {row.target: pair.part.stored[row.source] for row in pair.part.keymap}
    z = torch.randn(1, 4, 4, 4)
    for i, tensors in enumerate((prefixed, own)):
        path = tmp_path / f"taesdxl-{i}.safetensors"
        save_file(tensors, path)
        assert torch.allclose(load_vae(path).decode(z), pair.decode(z), atol=1e-5)


def test_load_vae_offers_it_where_both_files_are(models: Folders) -> None:
    files = VaeFiles("vae", ("taesd", "taesdxl"))
    assert files(models) == ["taesd", "taesdxl"]
    models.find("vae_approx", "taesd_encoder.pth").unlink()
    assert files(models) == ["taesdxl"]
    with pytest.raises(ValueError, match="taesd_encoder are not in models/vae_approx"):
        vae_loader("taesd", run=Run(job=Job(folders=models)))


@torch.no_grad()
def test_previews_are_its_pictures(models: Folders, both: tuple[nn.Sequential, nn.Sequential]) -> None:
    """Where its decoder is there; else the linear colours. Large ones are made smaller."""
    run, x = Run(job=Job(folders=models)), torch.randn(1, 4, 8, 12)
    drawn = preview(SD1, x, kind="PNG", decode=sharp(run))
    assert drawn is not None
    pixels = both[1](x).clamp(0, 1)[0].movedim(0, -1).mul(255).round()
    shown = torch.tensor(list(Image.open(io.BytesIO(drawn)).convert("RGB").tobytes())).view(64, 96, 3)
    assert (shown - pixels).abs().max() <= 1
    small = preview(SD1, x, longest=48, kind="PNG", decode=sharp(run))
    assert small is not None
    assert Image.open(io.BytesIO(small)).size == (48, 32)
    models.find("vae_approx", "taesd_decoder.pth").unlink()
    assert preview(SD1, x, kind="PNG", decode=sharp(run)) == preview(SD1, x, kind="PNG")
    assert preview(replace(SD1, rgb=(), tiny=""), x, decode=sharp(run)) is None


def test_files_of_something_else_are_refused(models: Folders, tmp_path: Path) -> None:
    path = tmp_path / "taesd_decoder.safetensors"
    save_file({"conv_in.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="no decoder of a TAESD"):
        autoencoder_tiny.decoder(path)
    encoder_path = models.find("vae_approx", "taesd_encoder.pth")
    with pytest.raises(CheckpointError, match="no TAESD"):
        autoencoder_tiny.load_pair("taesd", {"encoder": encoder_path, "decoder": encoder_path}, PlaceOnCpu())


@pytest.mark.parametrize(("name", "scale", "shift"), [("taesd3", 1.5305, 0.0609), ("taef1", 0.3611, 0.1159)])
@torch.no_grad()
def test_latents_of_sixteen_channels(tmp_path: Path, name: str, scale: float, shift: float) -> None:
    """The same network for Stable Diffusion 3 and Flux, whose latents are shifted too."""
    torch.manual_seed(1)
    sides = encoder(), decoder()
    sides[0][-1], sides[1][1] = nn.Conv2d(64, 16, 3, padding=1), nn.Conv2d(16, 64, 3, padding=1)
    folder = tmp_path / "models" / "vae_approx"
    folder.mkdir(parents=True)
    for side, network in zip(("encoder", "decoder"), sides, strict=True):
        torch.save(network.state_dict(), folder / f"{name}_{side}.pth")
    vae = vae_loader(name, run=Run(job=Job(folders=Folders(base=tmp_path))))
    z, pixels = torch.randn(1, 16, 4, 6), torch.rand(1, 32, 48, 3)
    assert torch.allclose(vae.decode(z), sides[1]((z - shift) * scale).clamp(0, 1).movedim(1, -1), atol=1e-4)
    assert torch.allclose(vae.encode(pixels), sides[0](pixels.movedim(-1, 1)) / scale + shift, atol=1e-4, rtol=1e-4)
