"""Predictions guessed from earlier ones where the network would hardly say anything new.

EasyCache, Zhou et al. 2025, https://arxiv.org/abs/2507.02860: how much a prediction changes for a change of its input stays
about the same from step to step, so the change to come can be told from the input's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from engine.diffusion.parametrization import Parametrization


@dataclass
class Track:
    """What one run remembers: the last step's input, the last predictions made and what they were made of."""

    x: Tensor | None = None  # of the last step, made or guessed
    made_at: Tensor | None = None
    predictions: Mapping[str, Tensor] = field(default_factory=dict)
    rate: float | None = None  # change of the prediction over change of the input
    owed: float = 0.0  # relative change since the last prediction made
    guesses: int = 0

    def made(self, x: Tensor, predictions: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Remember predictions made at ``x``."""
        if self.made_at is not None and self.made_at.shape == x.shape and predictions.keys() <= self.predictions.keys():
            moved = _size(x - self.made_at)
            changed = sum(_size(predictions[name] - self.predictions[name]) for name in predictions) / len(predictions)
            self.rate = changed / moved if moved > 0 else None
        self.x = self.made_at = x
        self.predictions, self.owed = dict(predictions), 0.0
        return predictions


@dataclass(frozen=True, eq=False)
class Reuse:
    """Guess as long as the change since the last prediction made is below ``threshold`` of its size, over a share of the run."""

    threshold: float = 0.2
    start_percent: float = 0.15
    end_percent: float = 0.95

    def guess(
        self, track: Track, x: Tensor, sigma: Tensor, names: Sequence[str], sampling: Parametrization
    ) -> Mapping[str, Tensor] | None:
        """The predictions as they were, moved with x; None if they must be made."""
        before, made_at = track.x, track.made_at
        first, last = (sampling.percent_to_sigma(percent) for percent in (self.start_percent, self.end_percent))
        fits = before is not None and before.shape == x.shape and set(names) <= track.predictions.keys()
        if not fits or before is None or made_at is None or track.rate is None or not last <= float(sigma) <= first:
            return None
        size = sum(_size(track.predictions[name]) for name in names) / len(names)
        track.owed += track.rate * _size(x - before) / max(size, 1e-12)
        if track.owed >= self.threshold:
            return None
        track.x = x
        track.guesses += 1
        return {name: track.predictions[name] + (x - made_at) for name in names}


def _size(x: Tensor) -> float:
    return float(x.abs().mean())
