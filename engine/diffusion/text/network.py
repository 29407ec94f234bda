"""The text tower of CLIP (Radford et al. 2021, https://arxiv.org/abs/2103.00020), parameters named as in transformers.

Written out here, not imported: transformers' class gives the same numbers (tested) but takes 4 s to import, and an engine
wants every layer's output and embeddings of its own in the prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class TextConfig:
    """The shape of a text tower; its heads are 64 wide."""

    width: int
    layers: int
    hidden: int  # width inside the MLPs
    activation: Literal["quick_gelu", "gelu"]
    projection: int | None = None  # width of the pooled output if it is projected
    vocabulary: int = 49408
    positions: int = 77

    @property
    def heads(self) -> int:
        return max(1, self.width // 64)


class Encoded(NamedTuple):
    """What a tower says of (B, T) tokens."""

    hidden: Tensor  # (B, T, D) after the asked layer, not normalised
    last: Tensor  # (B, T, D) after the last layer, normalised


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"quick_gelu": quick_gelu, "gelu": F.gelu}


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        out: Tensor = self.out_proj(seen.transpose(1, 2).flatten(2))
        return out


class MLP(nn.Module):
    def __init__(self, width: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.activation(self.fc1(x)))
        return out


class Layer(nn.Module):
    """A transformer layer of CLIP's, of either tower: only words look back alone."""

    def __init__(self, width: int, hidden: int, heads: int, activation: str, causal: bool) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(width)
        self.self_attn = Attention(width, heads, causal)
        self.layer_norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden, activation)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


class Embeddings(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.positions, config.width)


class Encoder(nn.Module):
    def __init__(self, layers: int, width: int, hidden: int, heads: int, activation: str, *, causal: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, hidden, heads, activation, causal) for _ in range(layers))


class TextModel(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config.layers, config.width, config.hidden, config.heads, config.activation, causal=True)
        self.final_layer_norm = nn.LayerNorm(config.width)


class ClipText(nn.Module):
    """Tokens' vectors in, every token's features and the pooled ones out."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.text_model = TextModel(config)
        self.text_projection = nn.Linear(config.width, config.projection, bias=False) if config.projection else None

    def embed(self, ids: Tensor) -> Tensor:
        """The vectors (B, T, D) of token ids (B, T)."""
        vectors: Tensor = self.text_model.embeddings.token_embedding(ids)
        return vectors

    def forward(self, vectors: Tensor, layer: int = -1) -> Encoded:
        """``vectors`` (B, T, D) of tokens, positions not yet added; ``layer`` counts from the end, -1 is the last."""
        x = vectors + self.text_model.embeddings.position_embedding.weight[: vectors.shape[1]]
        wanted = len(self.text_model.encoder.layers) + layer
        hidden = x
        for i, block in enumerate(self.text_model.encoder.layers):
            x = block(x)
            if i == wanted:
                hidden = x
        return Encoded(hidden, self.text_model.final_layer_norm(x))

    def pool(self, last: Tensor, ends: Tensor) -> Tensor:
        """The pooled output (B, P): ``last`` (B, T, D) at the end token of each row, ``ends`` (B,), projected."""
        pooled = last[torch.arange(last.shape[0], device=last.device), ends]
        return pooled if self.text_projection is None else self.text_projection(pooled)
