"""The text encoders as they travel along edges: prompts to conditioning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from engine.diffusion.hooks import Hooks, LoraSource, hook_patches
from engine.diffusion.lora import bundled
from engine.diffusion.parts import Part, Place, PlaceOnCpu, Tensors
from engine.diffusion.text.chunks import Row, empty
from engine.diffusion.text.embeddings import FindEmbedding
from engine.diffusion.text.tower import Features, Tower

Tokens = dict[str, list[Row]]
"""Rows of weighted tokens by the name of the tower they are for."""

Conditioning = list[list[Any]]
"""``[[features (1, T, D), {"pooled_output": (1, P), ...}], ...]``: what ComfyUI's nodes pass."""


@dataclass(frozen=True)
class TextHooks:
    """Hooks on text towers: at their plain strengths, or ``scheduled`` by their keyframes, which makes an entry for each
    stretch of the run between two; ``on_conds`` gives them to the conditioning too, for the denoiser."""

    hooks: Hooks
    on_conds: bool = True
    scheduled: bool = False

    def stretches(self, parts: Sequence[Part]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """(patches, options of the entry) for each stretch of the run."""
        marks = {"hooks": self.hooks} if self.on_conds else {}
        if not self.scheduled:
            return [(hook_patches(self.hooks, [1.0] * len(self.hooks.hooks), parts, "clip"), marks)]
        return [
            (hook_patches(self.hooks, factors, parts, "clip"), {**marks, "clip_start_percent": start, "clip_end_percent": end})
            for start, end, factors in self.hooks.moments()
        ]


@dataclass(frozen=True, eq=False)
class Clip:
    """A family's text towers, listened to together. Never changed: what alters it makes another that shares the weights."""

    towers: tuple[Tower, ...]
    place: Place = field(default_factory=PlaceOnCpu)
    embeddings: FindEmbedding | None = None  # where ``embedding:name`` is looked up
    last_layer: int | None = None  # clip skip: -2 stops one layer early
    patches: tuple[Any, ...] = ()
    hooks: TextHooks | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The networks, for patches and forecasts."""
        return tuple(tower.part for tower in self.towers)

    def with_last_layer(self, layer: int) -> Clip:
        """Stop at ``layer``, counted from the end: -1 is the last."""
        return replace(self, last_layer=layer)

    def with_patches(self, patches: tuple[Any, ...]) -> Clip:
        """With these patches, which ``place`` understands, instead of those it had."""
        return replace(self, patches=patches)

    def with_hooks(self, hooks: Hooks, *, on_conds: bool = True, scheduled: bool = False) -> Clip:
        """Prompts are read, and with ``on_conds`` sampled, with these hooks."""
        words = [bundled(hook.source.tensors) for hook in hooks.hooks if isinstance(hook.source, LoraSource)]
        known = self.with_embeddings({name: tensors for some in words for name, tensors in some.items()})
        return replace(known, hooks=TextHooks(hooks, on_conds, scheduled))

    def with_embeddings(self, more: Mapping[str, Tensors]) -> Clip:
        """With embeddings that prompts can name before those of files."""
        if not more:
            return self
        files = self.embeddings
        return replace(self, embeddings=lambda name: more.get(name) or (files(name) if files is not None else None))

    def tokenize(self, text: str) -> Tokens:
        """Rows of weighted tokens for every tower."""
        return {tower.name: tower.tokenize(text, self.embeddings) for tower in self.towers}

    def encode(self, text: str | Tokens, **options: Any) -> Conditioning:
        """The conditioning of one prompt; ``options`` join its pooled output."""
        return self._encode([self.tokenize(text) if isinstance(text, str) else text], options)[0]

    def encode_many(self, texts: Sequence[str]) -> list[Conditioning]:
        """The conditioning of several prompts by one call of each network."""
        return self._encode([self.tokenize(text) for text in texts], {})

    def encode_per_encoder(self, texts: Mapping[str, str], **options: Any) -> Conditioning:
        """Each tower reads its own text; a tower without one reads nothing, and shorter ones are filled with empty rows."""
        tokens = {tower.name: tower.tokenize(texts.get(tower.name, ""), self.embeddings) for tower in self.towers}
        longest = max(map(len, tokens.values()))
        filled = {t.name: tokens[t.name] + [empty(t.pad)] * (longest - len(tokens[t.name])) for t in self.towers}
        return self._encode([filled], options)[0]

    def _encode(self, prompts: Sequence[Tokens], options: Mapping[str, Any]) -> list[Conditioning]:
        encoded: list[Conditioning] = [[] for _ in prompts]
        for patches, marks in [((), {})] if self.hooks is None else self.hooks.stretches(self.parts):
            said = [
                tower.encode([prompt[tower.name] for prompt in prompts], self.place, (*self.patches, *patches), self.last_layer)
                for tower in self.towers
            ]
            for i, conditioning in enumerate(encoded):
                conditioning.append(self._joined([features[i] for features in said], {**options, **marks}))
        return encoded

    @staticmethod
    def _joined(features: Sequence[Features], options: Mapping[str, Any]) -> list[Any]:
        """Features side by side, as long as the shortest; the last tower's pooled output."""
        length = min(one.tokens.shape[1] for one in features)
        tokens = torch.cat([one.tokens[:, :length] for one in features], dim=-1)
        return [tokens, {"pooled_output": features[-1].pooled, **options}]
