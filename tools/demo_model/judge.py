"""A small classifier of latents that scores what the model draws: nouns, backgrounds, styles and the colours of things.

It is trained on the encoded training pictures, whole ones with one object and the halves of those with two.
It looks at latents, so a picture that it knows may still be soft to the eye: the grids are the last word.

python -m tools.demo_model.judge --steps 1500
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .clock import Clock, Threads
from .concepts import BACKGROUND_COLOURS, NOUNS, OBJECT_COLOURS, SCENES, STYLES, Thing
from .dataset import Latents
from .optimizers import Optimizers
from .paths import Paths, add_paths

BACKGROUNDS = [*SCENES, *BACKGROUND_COLOURS]
CLASSES = (list(NOUNS), BACKGROUNDS, list(STYLES), list(OBJECT_COLOURS))
HELD_OUT = 2000
UNSAID = -100
"""The answer where a thing has the colour it happens to have: nothing is learnt from it."""
SHIPPED = Path(__file__).with_name("judge.safetensors")


class Verdict(NamedTuple):
    """Scores of the nouns, backgrounds, styles and the colour of the thing, (B, classes) each."""

    noun: Tensor
    background: Tensor
    style: Tensor
    colour: Tensor


def half(z: Tensor, slot: int) -> Tensor:
    """The left or right half of latents, widened to a square by its edge columns."""
    part = z[..., :8] if slot == 0 else z[..., 8:]
    return F.pad(part, (4, 4, 0, 0), mode="replicate")


class Judge(nn.Module):
    """Five convolutions and a linear layer for each question."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        widths = (4, width, width, 2 * width, 2 * width, 2 * width)
        layers: list[nn.Module] = []
        for k, (a, b) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(a, b, 3, stride=2 if k in (2, 4) else 1, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2))
        self.heads = nn.ModuleList(nn.Linear(2 * width * 16, len(classes)) for classes in CLASSES)

    def forward(self, z: Tensor) -> Verdict:
        """Of latents (B, 4, 16, 16)."""
        h = self.body(z)
        return Verdict(*(head(h) for head in self.heads))


class Examples:
    """Every object of the training pictures with its four answers."""

    def __init__(self, latents: Latents) -> None:
        self.latents = latents
        rows = [
            (i, slot if len(scene["objs"]) == 2 else -1, *answers(thing, scene["bg"], scene["style"]))
            for i, scene in enumerate(latents.scenes)
            for slot, thing in enumerate(scene["objs"])
        ]
        self.rows = torch.tensor(rows)

    def take(self, ids: np.ndarray, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Noised a little, since generated latents are not as clean; (B, 4, 16, 16) and (B, 4)."""
        rows = self.rows[torch.from_numpy(ids)]
        z = self.latents.draw(rows[:, 0].numpy(), generator)
        slot = rows[:, 1].view(-1, 1, 1, 1)
        z = torch.where(slot < 0, z, torch.where(slot == 0, half(z, 0), half(z, 1)))
        return z + 0.1 * torch.randn(z.shape, generator=generator), rows[:, 2:]

    def batches(self, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Random examples but for the held-out ones, which are the last."""
        rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        while True:
            yield self.take(rng.integers(len(self.rows) - HELD_OUT, size=size), generator)


def answers(thing: Thing, background: str, style: str) -> tuple[int, int, int, int]:
    """The classes' numbers."""
    colour = thing.get("colour")
    said = CLASSES[3].index(colour) if colour else UNSAID
    return CLASSES[0].index(thing["noun"]), CLASSES[1].index(background), CLASSES[2].index(style), said


def loss_of(verdict: Verdict, wanted: Tensor) -> Tensor:
    """The cross entropies of the four questions, each averaged over the examples that answer it."""
    known = (wanted != UNSAID).sum(0).clamp(min=1)
    each = [F.cross_entropy(scores, wanted[:, k], ignore_index=UNSAID, reduction="sum") for k, scores in enumerate(verdict)]
    return (torch.stack(each) / known).sum()


@torch.no_grad()
def accuracy(judge: Judge, examples: Examples) -> list[float]:
    """On the held-out examples, for the four questions."""
    judge.eval()
    n = len(examples.rows)
    z, wanted = examples.take(np.arange(n - HELD_OUT, n), torch.Generator().manual_seed(0))
    known = wanted != UNSAID
    return [float((scores.argmax(1) == wanted[:, k])[known[:, k]].float().mean()) for k, scores in enumerate(judge(z))]


def load_judge(path: Path = SHIPPED) -> Judge:
    """A trained one; the file has it in half precision."""
    judge = Judge()
    judge.load_state_dict(load_file(path))
    return judge.eval()


def main() -> None:
    """Trains the judge and says how good it is."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--out", type=Path, default=SHIPPED)
    ap.add_argument("--steps", type=int, default=1500)
    ap.add_argument("--minutes", type=float, default=5, help="how long, when --steps is 0")
    ap.add_argument("--batch", type=int, default=64)
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=11)
    a = ap.parse_args()
    paths = Paths.of(a)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    judge, examples = Judge(), Examples(Latents(paths.data))
    optimizers, clock, threads = Optimizers(judge.named_parameters(), a.lr, muon=False), Clock(a.steps, a.minutes), Threads()
    source = examples.batches(a.batch, a.seed)
    while clock.progress < 1:
        threads.tick()
        z, wanted = next(source)
        loss = loss_of(judge(z), wanted)
        optimizers.step(loss, clock.rate(50, 0.2, 0.01))
        if clock.tick():
            print(f"{clock.i} {clock.seconds:.0f}s loss {loss.item():.3f}", flush=True)
    print("held out: nouns {:.1%}, backgrounds {:.1%}, styles {:.1%}, colours {:.1%}".format(*accuracy(judge, examples)))
    save_file({name: t.half() if t.is_floating_point() else t for name, t in judge.state_dict().items()}, a.out)


if __name__ == "__main__":
    main()
