"""Goes on from ``distill``: moves what the few-step LoRA draws towards what the guided teacher draws, as a distribution.

Distribution matching distillation, Yin et al. 2024, https://arxiv.org/abs/2405.14867 (DMD2), without its discriminator. The
student draws from noise alone in four steps, as it will be used; a critic, a LoRA too, learns to denoise what the student
draws, and the student goes where the teacher and the critic differ. Sharp pictures, and seeds that look alike: both are known.

python -m tools.demo_model.sharpen --start lcm/final.pt --minutes 40
"""

from __future__ import annotations

import argparse
from collections import deque
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.diffusion.precision import cpu_has_bfloat16

from .checkpoint import load_pair
from .clock import Clock
from .dataset import Latents, caption_rows
from .diffusion import noised, predict_noise
from .distill import VISITED, Teacher, clean
from .lora import Lora
from .optimizers import Average, Optimizers
from .paths import Paths, add_paths
from .tokens import Compact, Tokenizer
from .training import train

KEPT = 6
"""How many of the student's last batches the critic learns from."""
FIRST, LAST = 20, 980
"""The time steps at which teacher and critic are compared."""


class Run:
    """The student, the critic and the frozen teacher."""

    def __init__(self, a: argparse.Namespace, paths: Paths) -> None:
        self.compact = Compact(Tokenizer(paths.wheel))
        self.teacher = Teacher(load_pair(paths.work / a.teacher, self.compact), a.cfg)
        self.unet = self.teacher.pair.unet
        start = torch.load(paths.work / a.start)
        self.student, self.critic = Lora(self.unet, start["rank"]), Lora(self.unet, a.critic_rank)
        self.student.load_state_dict(start["state"])
        self.optimizers = Optimizers(self.student.named_parameters(), a.lr, muon=False)
        self.critics = Optimizers(self.critic.named_parameters(), a.critic_lr, muon=False)
        self.average = Average([self.student], a.ema)
        self.scenes, self.batch, self.updates = Latents(paths.data).scenes, a.batch, a.critics
        self.rng, self.generator = np.random.default_rng(a.seed), torch.Generator().manual_seed(a.seed)
        self.drawn: deque[tuple[Tensor, Tensor]] = deque(maxlen=KEPT)

    def noise(self) -> Tensor:
        """Of one batch."""
        return torch.randn(self.batch, 4, 16, 16, generator=self.generator)

    def times(self) -> Tensor:
        """Where teacher and critic look, (B,)."""
        return torch.randint(FIRST, LAST, (self.batch,), generator=self.generator)

    def prompts(self) -> Tensor:
        """What the networks attend to, of random captions."""
        ids = self.rng.integers(len(self.scenes), size=self.batch)
        rows = torch.tensor([caption_rows(self.scenes[j], self.compact, self.rng) for j in ids])
        with torch.no_grad():
            context: Tensor = self.teacher.pair.text(input_ids=rows).last_hidden_state
        return context

    def predicted(self, lora: Lora, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """The clean latent that a changed UNet sees in ``x``."""
        return clean(x, lora.call(self.unet, x, t, c).float(), self.teacher.alpha(t))

    def draw(self, c: Tensor) -> Tensor:
        """The student's clean latent after one to four steps from noise; only the last of them has a gradient."""
        last = int(self.rng.integers(len(VISITED)))
        x = self.noise()
        for k, step in enumerate(VISITED[: last + 1]):
            t = torch.full((self.batch,), step)
            with torch.set_grad_enabled(k == last):
                z = self.predicted(self.student, x, t, c)
            if k < last:
                x = noised(z, self.noise(), self.teacher.alpha(torch.full((self.batch,), VISITED[k + 1])))
        return z

    def student_loss(self) -> Tensor:
        """A distance whose gradient is the normalised difference of critic and teacher (equations 1 to 3, and 8 of DMD)."""
        c = self.prompts()
        z = self.draw(c)
        self.drawn.append((z.detach(), c))
        with torch.no_grad():
            t = self.times()
            x = noised(z, self.noise(), self.teacher.alpha(t))
            e = predict_noise(self.unet, x, torch.cat([t, t]), c, self.teacher.empty.expand_as(c), self.teacher.cfg)
            real = clean(x, e.float(), self.teacher.alpha(t))
            gradient = self.predicted(self.critic, x, t, c) - real
            goal = z - gradient / (z - real).abs().mean((1, 2, 3), keepdim=True)
        return 0.5 * (z - goal).pow(2).mean()

    def critic_loss(self) -> Tensor:
        """The squared error of the predicted noise on what the student drew lately."""
        z, c = self.drawn[int(self.rng.integers(len(self.drawn)))]
        t, noise = self.times(), self.noise()
        e = self.critic.call(self.unet, noised(z, noise, self.teacher.alpha(t)), t, c)
        return (e.float() - noise).pow(2).mean()

    def warm_up(self, batches: int) -> None:
        """Teaches the critic alone what the student draws at the start."""
        for _ in range(batches):
            c = self.prompts()
            with torch.no_grad():
                self.drawn.append((self.draw(c).detach(), c))
            self.critics.step(self.critic_loss(), 1.0)

    def step(self, factor: float) -> tuple[float, float]:
        """One update of the student and some of the critic; their losses."""
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bfloat16()):
            loss = self.student_loss()
        self.optimizers.step(loss, factor)
        self.average.update()
        for _ in range(self.updates):
            with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bfloat16()):
                critic_loss = self.critic_loss()
            self.critics.step(critic_loss, 1.0)
        return loss.item(), critic_loss.item()


def parse() -> argparse.Namespace:
    """The command's options."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--teacher", type=Path, default=Path("unet/final.pt"), help="a state below --work")
    ap.add_argument("--start", type=Path, default=Path("lcm/final.pt"), help="what distill wrote, below --work")
    ap.add_argument("--out", type=Path, default=Path("lcm/sharp.pt"), help="the LoRA's state, below --work")
    ap.add_argument("--minutes", type=float, default=40, help="how long, when --steps is 0")
    ap.add_argument("--steps", type=int, default=0)
    ap.add_argument("--batch", type=int, default=16)
    ap.add_argument("--lr", type=float, default=3e-4)
    ap.add_argument("--critics", type=int, default=2, help="updates of the critic for each of the student")
    ap.add_argument("--critic-rank", type=int, default=32)
    ap.add_argument("--critic-lr", type=float, default=1e-3)
    ap.add_argument("--warm", type=int, default=40, help="updates of the critic before the first of the student")
    ap.add_argument("--ema", type=float, default=0.97)
    ap.add_argument("--cfg", type=float, default=4.0, help="the teacher's guidance")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=4)
    return ap.parse_args()


def main() -> None:
    """Sharpens and saves the averaged factors."""
    a = parse()
    paths = Paths.of(a)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    run, clock = Run(a, paths), Clock(a.steps, a.minutes)
    run.warm_up(a.warm)
    train(run, clock, warm=20, hold=0.5, last=0.05, path=paths.work / a.out)


if __name__ == "__main__":
    main()
