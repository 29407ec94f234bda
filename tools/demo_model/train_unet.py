"""Trains the UNet and the text model together on encoded pictures.

python -m tools.demo_model.train_unet --minutes 110 --resume STATE      (or --steps N, for an exact rerun)
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from pathlib import Path

import torch
from torch import Tensor

from .architecture import load_vae
from .checkpoint import Pair, load_pair, new_pair
from .clock import Clock, Threads
from .dataset import Batch, Latents, ahead, batches
from .diffusion import alphas_cumprod, decode, dpmpp_2m
from .grids import grid
from .optimizers import Average, Optimizers
from .paths import Paths, add_paths
from .tokens import Compact, Tokenizer

PROMPTS = (
    "a cat on a blue background", "a unicorn on a yellow background", "a guitar on the grass", "a helicopter at night",
    "a carrot on a white background", "an owl, 3d style", "an owl, flat style", "an owl, cartoon style",
    "a red car and a blue balloon on a white background", "a pizza and a donut on a green background",
    "a castle in the snow", "a cat and a dog on a blue background",
)


def loss_weights(low: float = 0.04, high: float = 5.0) -> Tensor:
    """Min-SNR-5 (Hang et al. 2023, https://arxiv.org/abs/2303.09556), with more weight below ``low``.

    The noisiest steps decide the background: without that weight it does not follow the prompt.
    """
    ac = alphas_cumprod()
    snr = ac / (1 - ac)
    return snr.clamp(low, high) / snr


def loss_of(pair: Pair, batch: Batch, weights: Tensor) -> Tensor:
    """The weighted squared error of the predicted noise."""
    context = pair.text(input_ids=batch.rows).last_hidden_state
    e = pair.unet(batch.x, batch.t, context).sample
    return ((e - batch.noise).pow(2).mean((1, 2, 3)) * weights[batch.t]).mean()


def parse() -> argparse.Namespace:
    """The command's options."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--minutes", type=float, default=110, help="how long, when --steps is 0")
    ap.add_argument("--steps", type=int, default=0)
    ap.add_argument("--batch", type=int, default=48)
    ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--ema", type=float, default=0.998)
    ap.add_argument("--warm", type=int, default=60, help="steps of linear warm-up")
    ap.add_argument("--hold", type=float, default=0.35, help="part of the run at full learning rate before the cosine")
    ap.add_argument("--resume", type=Path, help="a state to go on from")
    ap.add_argument("--out", type=Path, default=Path("unet"), help="folder of this run below --work")
    ap.add_argument("--save-every", type=float, default=240, help="seconds")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=5)
    return ap.parse_args()


class Run:
    """A training run: the networks, their optimizers and average, and where it leaves its states."""

    def __init__(self, a: argparse.Namespace, paths: Paths) -> None:
        compact = Compact(Tokenizer(paths.wheel))
        self.pair = load_pair(a.resume, compact) if a.resume else new_pair(compact)
        self.pair.unet.train()
        self.pair.text.train()
        self.optimizers = Optimizers(self.pair.named_parameters(), a.lr)
        self.average = Average([self.pair.unet, self.pair.text], a.ema)
        self.weights = loss_weights()
        self.folder = paths.work / a.out
        self.batches = ahead(batches(Latents(paths.data), compact, a.batch, a.seed))

    def step(self, factor: float) -> float:
        """One update; the loss before it."""
        loss = loss_of(self.pair, next(self.batches), self.weights)
        self.optimizers.step(loss, factor)
        self.average.update()
        return loss.item()

    def save(self, name: str) -> None:
        """The averaged weights."""
        self.average.swap()
        self.pair.save(self.folder / f"{name}.pt")
        self.average.swap()


def train(a: argparse.Namespace, paths: Paths) -> Pair:
    """Runs to the clock's end and returns the averaged networks."""
    run, clock, threads = Run(a, paths), Clock(a.steps, a.minutes), Threads()
    losses: deque[float] = deque(maxlen=50)
    saved = time.monotonic()
    while clock.progress < 1:
        threads.tick()
        losses.append(run.step(clock.rate(a.warm, a.hold, 0.01)))
        if clock.tick():
            print(f"{clock.i} p {clock.progress:.3f} {clock.seconds:.0f}s loss {sum(losses) / len(losses):.4f}", flush=True)
        if time.monotonic() - saved > a.save_every:
            run.save("last")
            saved = time.monotonic()
    run.save("final")
    run.average.swap()
    print(f"{clock.i} steps, {clock.seconds:.0f} seconds")
    return run.pair


def main() -> None:
    """Trains, and draws a first grid."""
    a = parse()
    paths = Paths.of(a)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    pair = train(a, paths)
    pair.unet.eval()
    pair.text.eval()
    with torch.no_grad():
        c, u = pair.context(list(PROMPTS)), pair.context([""] * len(PROMPTS))
        z = dpmpp_2m(pair.unet, c, u, [1000 + k for k in range(len(PROMPTS))])
        grid(decode(load_vae(paths.vae), z), 6).save(paths.work / a.out / "grid.png")


if __name__ == "__main__":
    main()
