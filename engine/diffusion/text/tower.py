"""One CLIP text tower at work: prompts to rows of tokens, rows to features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engine.diffusion.parts import Part, Place, working_dtype
from engine.diffusion.text.bpe import END, ClipBpe
from engine.diffusion.text.chunks import Row, empty, groups, rows
from engine.diffusion.text.embeddings import FindEmbedding
from engine.diffusion.text.network import ClipText

BPE = ClipBpe()


class Features(NamedTuple):
    """A prompt as a tower sees it."""

    tokens: Tensor  # (1, 77 n, D) float32
    pooled: Tensor  # (1, P) float32


@dataclass(frozen=True, eq=False)
class Tower:
    """A tower and how its family listens to it."""

    name: str  # "l", "g", "h"
    part: Part
    pad: int = END
    layer: int = -1  # whose output is used, counted from the end
    normalise: bool = True  # whether that output goes through the final norm
    bpe: ClipBpe = BPE

    @property
    def width(self) -> int:
        row = next(row for row in self.part.keymap if row.target == "text_model.embeddings.token_embedding.weight")
        return int(self.part.stored[row.source].shape[1])

    def tokenize(self, prompt: str, find: FindEmbedding | None = None) -> list[Row]:
        """Rows of 77 weighted tokens."""
        return rows(groups(prompt, self.bpe, find, self.name, self.width), self.pad)

    def encode(
        self, prompts: Sequence[list[Row]], place: Place, patches: tuple[object, ...] = (), layer: int | None = None
    ) -> list[Features]:
        """Features of several prompts by one call of the network; equal rows are computed once.

        A token's weight moves its features away from, or towards, those at its place in the empty prompt:
        ``empty + (features - empty) * weight``.
        """
        network = place(self.part, patches)
        assert isinstance(network, ClipText)
        weighted = any(token.weight != 1.0 for prompt in prompts for row in prompt for token in row)
        blank = empty(self.pad)
        batch = {_key(row): row for prompt in prompts for row in prompt} | ({_key(blank): blank} if weighted else {})
        hidden, pooled = self._forward(network, list(batch.values()), self.layer if layer is None else layer)
        place_of = {key: i for i, key in enumerate(batch)}
        features = []
        for prompt in prompts:
            numbers = [place_of[_key(row)] for row in prompt]
            tokens = hidden[numbers]
            if weighted:
                base = hidden[place_of[_key(blank)]]
                weights = torch.tensor([[token.weight for token in row] for row in prompt])[..., None]
                tokens = torch.where(weights == 1.0, tokens, base + (tokens - base) * weights)
            features.append(Features(tokens.flatten(0, 1)[None], pooled[numbers[:1]]))
        return features

    def _forward(self, network: ClipText, batch: list[Row], layer: int) -> tuple[Tensor, Tensor]:
        """Rows -> features (B, 77, D) after ``layer`` and pooled (B, P), float32 on the CPU."""
        table = network.text_model.embeddings.token_embedding.weight
        ids = torch.tensor([[0 if isinstance(token.id, Tensor) else token.id for token in row] for row in batch])
        vectors = network.embed(ids.to(table.device))
        for i, row in enumerate(batch):
            for j, token in enumerate(row):
                if isinstance(token.id, Tensor):
                    vectors[i, j] = token.id.to(vectors)
        vectors = vectors.to(working_dtype(network))
        depth = len(network.text_model.encoder.layers)
        with torch.no_grad():
            hidden, last = network(vectors, layer if -depth <= layer < 0 else -1)
            ends = torch.tensor([next(j for j, token in enumerate(row) if _is_end(token.id)) for row in batch])
            pooled = network.pool(last, ends.to(last.device))
            if self.normalise:
                hidden = network.text_model.final_layer_norm(hidden)
        return hidden.float().cpu(), pooled.float().cpu()


def _is_end(token: int | Tensor) -> bool:
    return not isinstance(token, Tensor) and token == END


def _key(row: Row) -> tuple[object, ...]:
    """What makes two rows the same to the network."""
    return tuple(id(token.id) if isinstance(token.id, Tensor) else token.id for token in row)
