"""Distils the trained UNet into a LoRA that draws in four to eight steps without guidance.

Latent consistency distillation, Luo et al. 2023, https://arxiv.org/abs/2310.04378, with the few-step LoRA of
https://arxiv.org/abs/2311.05556: the student's answer at t must be its own answer at t - 100, a jump which the
teacher makes with one guided DDIM step. Half of the time steps are near the four that four-step sampling visits.

python -m tools.demo_model.distill --teacher unet/final.pt --minutes 18
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from engine.diffusion.precision import cpu_has_bfloat16

from .checkpoint import Pair, load_pair
from .clock import Clock
from .dataset import Latents, caption_rows
from .diffusion import alphas_cumprod, noised, predict_noise
from .lora import Lora
from .optimizers import Average, Optimizers
from .paths import Paths, add_paths
from .tokens import Compact, Tokenizer
from .training import train

JUMP = 100
VISITED = (999, 749, 499, 249)
"""Where the schedules ``simple`` and ``sgm_uniform`` put four steps."""
HUBER = 1e-2


@dataclass
class Teacher:
    """The frozen networks, their answer to the empty prompt, and the guidance the student is to take in."""

    pair: Pair
    cfg: float

    def __post_init__(self) -> None:
        self.pair.unet.eval().requires_grad_(False)
        self.pair.text.eval().requires_grad_(False)
        self.alphas = torch.cat([torch.ones(1), alphas_cumprod()])
        self.empty = self.pair.context([""])

    def alpha(self, t: Tensor) -> Tensor:
        """Of time step t, (B, 1, 1, 1); -1 is the clean picture."""
        return self.alphas[t + 1].view(-1, 1, 1, 1)

    def ddim(self, x: Tensor, t: Tensor, s: Tensor, c: Tensor) -> Tensor:
        """One guided step from t to s. Song et al. 2020, https://arxiv.org/abs/2010.02502, equation 12 with eta 0."""
        e = predict_noise(self.pair.unet, x, torch.cat([t, t]), c, self.empty.expand_as(c), self.cfg)
        return noised(clean(x, e, self.alpha(t)), e, self.alpha(s))

    @torch.no_grad()
    def jump(self, x: Tensor, t: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The latents and time steps one jump further on."""
        s = (t - JUMP).clamp(min=-1)
        return self.ddim(x, t, s, c), s


def clean(x: Tensor, e: Tensor, alpha: Tensor) -> Tensor:
    """The clean latent that the noise ``e`` implies."""
    return (x - (1 - alpha).sqrt() * e) / alpha.sqrt()


def time_steps(size: int, rng: np.random.Generator) -> Tensor:
    """Half near the visited steps, half anywhere."""
    near = rng.choice(VISITED, size=size) + rng.integers(-8, 9, size=size)
    anywhere = rng.integers(20, 1000, size=size)
    return torch.from_numpy(np.where(rng.random(size) < 0.5, near, anywhere)).clamp(0, 999)


class Run:
    """The student, its optimizer and average, and what it learns from."""

    def __init__(self, a: argparse.Namespace, paths: Paths) -> None:
        self.compact = Compact(Tokenizer(paths.wheel))
        self.teacher = Teacher(load_pair(paths.work / a.teacher, self.compact), a.cfg)
        self.unet: UNet2DConditionModel = self.teacher.pair.unet
        self.student = Lora(self.unet, a.rank)
        self.optimizers = Optimizers(self.student.named_parameters(), a.lr, muon=False)
        self.average = Average([self.student], 0.98)
        self.latents, self.batch = Latents(paths.data), a.batch
        self.rng, self.generator = np.random.default_rng(a.seed), torch.Generator().manual_seed(a.seed)

    def loss(self) -> Tensor:
        """Pseudo-Huber distance of the student's answers at the two ends of a jump."""
        ids = self.rng.integers(len(self.latents), size=self.batch)
        rows = torch.tensor([caption_rows(self.latents.scenes[j], self.compact, self.rng) for j in ids])
        t = time_steps(self.batch, self.rng)
        with torch.no_grad():
            c = self.teacher.pair.text(input_ids=rows).last_hidden_state
            x0 = self.latents.draw(ids, self.generator)
            x = noised(x0, torch.randn(x0.shape, generator=self.generator), self.teacher.alpha(t))
            y, s = self.teacher.jump(x, t, c)
            goal = clean(y, self.student.call(self.unet, y, s.clamp(min=0), c), self.teacher.alpha(s))
            goal = torch.where((s < 0).view(-1, 1, 1, 1), y, goal)
        d = clean(x, self.student.call(self.unet, x, t, c), self.teacher.alpha(t)) - goal
        return ((d * d + HUBER**2).sqrt() - HUBER).mean()

    def step(self, factor: float) -> tuple[float]:
        """One update; the loss before it."""
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bfloat16()):
            loss = self.loss()
        self.optimizers.step(loss, factor)
        self.average.update()
        return (loss.item(),)


def parse() -> argparse.Namespace:
    """The command's options."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--teacher", type=Path, default=Path("unet/final.pt"), help="a state below --work")
    ap.add_argument("--out", type=Path, default=Path("lcm/final.pt"), help="the LoRA's state, below --work")
    ap.add_argument("--minutes", type=float, default=18, help="how long, when --steps is 0")
    ap.add_argument("--steps", type=int, default=0)
    ap.add_argument("--batch", type=int, default=24)
    ap.add_argument("--rank", type=int, default=32)
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--cfg", type=float, default=4.0, help="the guidance taken in")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=3)
    return ap.parse_args()


def main() -> None:
    """Distils and saves the averaged factors."""
    a = parse()
    paths = Paths.of(a)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    train(Run(a, paths), Clock(a.steps, a.minutes), warm=30, hold=0.3, last=0.02, path=paths.work / a.out)


if __name__ == "__main__":
    main()
