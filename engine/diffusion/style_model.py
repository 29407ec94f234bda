"""Style models: a picture's features as a few more tokens of text.

The style adapter of T2I-Adapter (Mou et al. 2023, https://arxiv.org/abs/2302.08453) and FLUX.1 Redux.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion import networks, prefixes
from engine.diffusion.checkpoints import check_exact
from engine.diffusion.clip_vision import ClipVisionOutput
from engine.diffusion.conditioning import Conditioning, entries
from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.parts import Part, Place, straight, working_dtype
from engine.diffusion.residency import Residency

HEADS = 8


class StyleBlock(nn.Module):
    """A transformer layer as in CLIP, parameters named as in T2I-Adapter's files."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", _QuickGelu())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.ln_1(x)
        x = x + self.attn(seen, seen, seen, need_weights=False)[0]
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result


class _QuickGelu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class StyleAdapter(nn.Module):
    """Learnt tokens read the picture's (B, T, width); what they have found is projected to (B, tokens, context)."""

    def __init__(self, width: int, context: int, tokens: int, layers: int) -> None:
        super().__init__()
        self.style_embedding = nn.Parameter(torch.empty(1, tokens, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer_layes = nn.Sequential(*(StyleBlock(width) for _ in range(layers)))  # the spelling is the files'
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, context))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, self.style_embedding.expand(x.shape[0], -1, -1)], dim=1)
        x = self.transformer_layes(self.ln_pre(x))
        found: Tensor = self.ln_post(x[:, -self.style_embedding.shape[1] :])
        return found @ self.proj


class Redux(nn.Module):
    """Two linear layers, place by place."""

    def __init__(self, width: int, hidden: int, context: int) -> None:
        super().__init__()
        self.redux_up, self.redux_down = nn.Linear(width, hidden), nn.Linear(hidden, context)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.redux_down(F.silu(self.redux_up(x)))
        return result


@dataclass(frozen=True, eq=False)
class StyleModel:
    """The STYLE_MODEL value."""

    part: Part
    place: Place
    width: int  # of the picture's features

    def tokens(self, seen: ClipVisionOutput) -> Tensor:
        """(1, T, D): the tokens of all pictures one after another."""
        features = seen.last_hidden_state
        if features.shape[-1] != self.width:
            raise ValueError(
                f"this style model reads image features of width {self.width}, but the CLIP vision model gives "
                f"{features.shape[-1]}. Those for Stable Diffusion 1 need CLIP ViT-L, Redux needs SigLIP."
            )
        network = self.place(self.part)
        with torch.no_grad():
            found = network(features.to(next(network.parameters()).device, working_dtype(network)))
        return found.float().cpu().flatten(0, 1)[None]  # type: ignore[no-any-return]


def load_style_model(path: Path, place: Place | None = None) -> StyleModel:
    """The style model of a file."""
    tensors = read_tensors(path).tensors
    if "style_embedding" in tensors:
        _, count, width = tensors["style_embedding"].shape
        layers = len({name.split(".")[1] for name in tensors if name.startswith("transformer_layes.")})
        context = tensors["proj"].shape[1]

        def build() -> nn.Module:
            with networks.on_meta():
                return StyleAdapter(width, context, count, layers)
    elif "redux_up.weight" in tensors and "redux_down.weight" in tensors:
        hidden, width = tensors["redux_up.weight"].shape
        context = tensors["redux_down.weight"].shape[0]

        def build() -> nn.Module:
            with networks.on_meta():
                return Redux(width, hidden, context)
    else:
        told = prefixes.elsewhere(tensors, "a style adapter for Stable Diffusion 1")
        raise CheckpointError(path, f"it has no style model's tensors (style_embedding or redux_up){told}")
    return StyleModel(check_exact(path, Part("style", build, straight(tensors), tensors)), place or Residency(), width)


def apply_style(
    conditioning: Conditioning,
    model: StyleModel,
    seen: ClipVisionOutput,
    strength: float = 1.0,
    strength_type: Literal["multiply", "attn_bias"] = "multiply",
) -> list[list[Any]]:
    """The picture's tokens after those of every prompt: times ``strength``, or with log(strength) added to attention scores.

    The bias is a (T, T) "attention_mask" beside the embedding; strength 1 is none, at 0 the picture is not seen.
    """
    tokens = model.tokens(seen) * (strength if strength_type == "multiply" else 1.0)
    styled = []
    for embedding, options in entries(conditioning):
        if embedding.shape[-1] != tokens.shape[-1]:
            raise ValueError(
                f"this style model gives tokens of width {tokens.shape[-1]}, but the prompt's are {embedding.shape[-1]} wide. "
                "Use one made for this base model."
            )
        options = dict(options)
        known = options.get("attention_mask")
        if known is not None or (strength_type == "attn_bias" and strength != 1.0):
            weight = strength if strength_type == "attn_bias" else 1.0
            options["attention_mask"] = _biased(known, embedding.shape[1], tokens.shape[1], weight)
        styled.append([torch.cat([embedding, tokens.to(embedding)], dim=1), options])
    return styled


def _biased(known: Tensor | None, text: int, style: int, strength: float) -> Tensor:
    """The score of every token looking at a style token moved by log(strength); 0 makes them unseen.

    ``known``: the biases among the tokens before, of other pictures.
    """
    bias = torch.zeros(text + style, text + style)
    if known is not None:
        size = min(text, known.shape[-1])
        bias[:size, :size] = known[..., :size, :size]
        bias[size:text, :size] = known[..., :1, :size]
    bias[:text, text:] = math.log(strength) if strength > 0 else -torch.inf
    return bias
