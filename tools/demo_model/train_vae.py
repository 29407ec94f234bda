"""Trains the VAE on random crops and then on whole pictures, and folds its latent statistics into it.

python -m tools.demo_model.train_vae --steps 1150
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from .architecture import SCALE, build_vae
from .clock import Clock, Threads
from .optimizers import Average, Optimizers
from .paths import Paths, add_paths

HELD_OUT = 64


def bytes_to_unit(images: np.ndarray) -> Tensor:
    """(B, H, W, 3) bytes to (B, 3, H, W) in -1..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def random_crops(images: np.ndarray, size: int, count: int, rng: np.random.Generator) -> Tensor:
    """Crops of training pictures; whole ones at size 128."""
    out = np.empty((count, size, size, 3), np.uint8)
    for k, j in enumerate(rng.integers(len(images) - HELD_OUT, size=count)):
        y, x = rng.integers(0, 128 - size + 1, size=2)
        out[k] = images[j, y : y + size, x : x + size]
    return bytes_to_unit(out)


def reconstruction_loss(vae: AutoencoderKL, z: Tensor, x: Tensor) -> tuple[Tensor, float]:
    """L1 of pixels and of their differences, and twice the squared error; and the squared error alone."""
    d = vae.decoder(vae.post_quant_conv(z)) - x
    edges = (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
    mse = (d * d).mean()
    return d.abs().mean() + 0.25 * edges + 2 * mse, mse.item()


def vae_loss(vae: AutoencoderKL, x: Tensor, kl_weight: float) -> tuple[Tensor, float]:
    """The loss of a sample of the posterior, with the KL term (Kingma and Welling 2013, https://arxiv.org/abs/1312.6114)."""
    mean, log_variance = vae.quant_conv(vae.encoder(x)).chunk(2, 1)
    log_variance = log_variance.clamp(-12, 6)
    z = mean + torch.randn_like(mean) * (log_variance * 0.5).exp()
    kl = 0.5 * (mean * mean + log_variance.exp() - 1 - log_variance).mean()
    loss, mse = reconstruction_loss(vae, z, x)
    return loss + kl_weight * kl, mse


@torch.no_grad()
def psnr(vae: AutoencoderKL, images: np.ndarray) -> float:
    """Of the held-out pictures, in dB."""
    x = bytes_to_unit(np.array(images[-HELD_OUT : -HELD_OUT // 2]))
    mse = ((vae.decode(vae.encode(x).latent_dist.mode()).sample - x) ** 2).mean() / 4
    return float(-10 * torch.log10(mse))


@torch.no_grad()
def fold_statistics(vae: AutoencoderKL, images: np.ndarray) -> None:
    """Rescales the latent to zero mean and a spread of 1 / 0.18215, in the 1x1 convolutions on both sides of it."""
    parts = [bytes_to_unit(np.array(images[k : k + 32])) for k in range(0, min(512, len(images)), 32)]
    modes = [vae.encode(part).latent_dist.mode() for part in parts]
    mean, std = torch.cat(modes).mean((0, 2, 3)), torch.cat(modes).std((0, 2, 3))
    k = 1 / (SCALE * std)
    into, out = vae.quant_conv, vae.post_quant_conv
    into.weight[:4] *= k[:, None, None, None]
    into.bias[:4] = (into.bias[:4] - mean) * k
    into.bias[4:] += 2 * k.log()
    out.bias += (out.weight[:, :, 0, 0] * mean).sum(1)
    out.weight /= k[None, :, None, None]


def parse() -> argparse.Namespace:
    """The command's options."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--steps", type=int, default=0)
    ap.add_argument("--minutes", type=float, default=18, help="how long, when --steps is 0")
    ap.add_argument("--crop", type=int, default=64)
    ap.add_argument("--batch", type=int, default=12)
    ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--kl", type=float, default=1e-3)
    ap.add_argument("--whole", type=float, default=0.2, help="last part of the run, on whole pictures")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=0)
    return ap.parse_args()


def train(a: argparse.Namespace, vae: AutoencoderKL, images: np.ndarray) -> None:
    """Leaves the averaged weights in ``vae``."""
    rng = np.random.default_rng(a.seed)
    optimizers, average = Optimizers(vae.named_parameters(), a.lr), Average([vae], 0.998)
    clock, threads = Clock(a.steps, a.minutes), Threads()
    while clock.progress < 1:
        threads.tick()
        whole = clock.progress > 1 - a.whole
        x = random_crops(images, 128, max(2, a.batch // 4), rng) if whole else random_crops(images, a.crop, a.batch, rng)
        loss, mse = vae_loss(vae, x, a.kl)
        optimizers.step(loss, clock.rate(80, 0.35, 0.02))
        average.update()
        if clock.tick():
            psnr_now = -10 * np.log10(mse / 4)
            print(f"{clock.i} p {clock.progress:.3f} {clock.seconds:.0f}s loss {loss.item():.4f} psnr {psnr_now:.2f}", flush=True)
    average.swap()


def main() -> None:
    """Trains and writes ``vae/final.pt``."""
    a = parse()
    paths = Paths.of(a)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    images = np.load(paths.data / "images.npy", mmap_mode="r")
    vae = build_vae()
    train(a, vae, images)
    fold_statistics(vae, images)
    paths.vae.parent.mkdir(parents=True, exist_ok=True)
    torch.save(vae.state_dict(), paths.vae)
    print(f"held-out psnr {psnr(vae, images):.2f} dB")


if __name__ == "__main__":
    main()
