"""Encodes the pictures with the trained VAE: mean and spread of each latent, times 0.18215.

python -m tools.demo_model.encode --processes 2
"""

from __future__ import annotations

import argparse
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray

from engine.diffusion.precision import cpu_has_bfloat16

from .architecture import SCALE, load_vae
from .paths import Paths, add_paths

BATCH = 32
Half = NDArray[np.float16]


@torch.no_grad()
def encode_part(part: range, paths: Paths) -> tuple[Half, Half]:
    """Means and standard deviations of some of the pictures, (N, 4, 16, 16)."""
    torch.set_num_threads(1)
    vae = load_vae(paths.vae)
    images = np.load(paths.data / "images.npy", mmap_mode="r")
    means, stds = [], []
    for i in range(part.start, part.stop, BATCH):
        x = torch.from_numpy(np.array(images[i : min(i + BATCH, part.stop)])).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bfloat16()):
            mean, log_variance = vae.quant_conv(vae.encoder(x)).float().chunk(2, 1)
        means.append((mean * SCALE).half())
        stds.append(((log_variance * 0.5).exp() * SCALE).half())
    return torch.cat(means).numpy(), torch.cat(stds).numpy()


def main() -> None:
    """Writes ``latents.npz``."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--processes", type=int, default=2)
    a = ap.parse_args()
    paths = Paths.of(a)
    count = len(np.load(paths.data / "images.npy", mmap_mode="r"))
    parts = [range(count * k // a.processes, count * (k + 1) // a.processes) for k in range(a.processes)]
    with get_context("spawn").Pool(a.processes) as pool:
        means, stds = zip(*pool.map(partial(encode_part, paths=paths), parts), strict=True)
    mean, std = np.concatenate(means), np.concatenate(stds)
    np.savez(paths.data / "latents.npz", mean=mean, std=std)
    print(f"{count} pictures, mean {mean.astype(np.float32).mean():.4f} std {mean.astype(np.float32).std():.4f}")


if __name__ == "__main__":
    main()
