"""Goes on training the VAE's decoder alone, on encoded pictures: latents, and so the UNet, stay as they are.

python -m tools.demo_model.polish_decoder --minutes 12
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from .architecture import SCALE, load_vae
from .clock import Clock, Threads
from .dataset import Latents
from .optimizers import Average, Optimizers
from .paths import Paths, add_paths
from .train_vae import HELD_OUT, bytes_to_unit, psnr, reconstruction_loss


def parse() -> argparse.Namespace:
    """The command's options."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--steps", type=int, default=0)
    ap.add_argument("--minutes", type=float, default=12, help="how long, when --steps is 0")
    ap.add_argument("--batch", type=int, default=6)
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--out", type=Path, default=Path("vae/polished.pt"), help="the new state, below --work")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=2)
    return ap.parse_args()


def train(a: argparse.Namespace, vae: AutoencoderKL, paths: Paths) -> None:
    """Leaves the averaged weights in ``vae``."""
    images, latents = np.load(paths.data / "images.npy", mmap_mode="r"), Latents(paths.data)
    rng, generator = np.random.default_rng(a.seed), torch.Generator().manual_seed(a.seed)
    optimizers, average = Optimizers(vae.named_parameters(), a.lr), Average([vae.decoder, vae.post_quant_conv], 0.998)
    clock, threads = Clock(a.steps, a.minutes), Threads()
    while clock.progress < 1:
        threads.tick()
        ids = rng.integers(len(latents) - HELD_OUT, size=a.batch)
        loss, mse = reconstruction_loss(vae, latents.draw(ids, generator) / SCALE, bytes_to_unit(images[ids]))
        optimizers.step(loss, clock.rate(80, 0.3, 0.02))
        average.update()
        if clock.tick():
            psnr_now = -10 * np.log10(mse / 4)
            print(f"{clock.i} p {clock.progress:.3f} {clock.seconds:.0f}s loss {loss.item():.4f} psnr {psnr_now:.2f}", flush=True)
    average.swap()


def main() -> None:
    """Polishes, and says what it was worth on the held-out pictures."""
    a = parse()
    paths = Paths.of(a)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    vae = load_vae(paths.vae)
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    images = np.load(paths.data / "images.npy", mmap_mode="r")
    before = psnr(vae, images)
    train(a, vae, paths)
    torch.save(vae.state_dict(), paths.work / a.out)
    print(f"held-out psnr {before:.2f} dB before, {psnr(vae, images):.2f} dB after")


if __name__ == "__main__":
    main()
