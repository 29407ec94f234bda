"""What ``main.py models merge`` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.diffusion import modelspec
from engine.diffusion.checkpoints import Checkpoint, load_checkpoint, load_vae
from engine.diffusion.clip import Clip
from engine.diffusion.containers import read_tensors
from engine.diffusion.lora import apply_lora, unmatched
from engine.diffusion.lora_file import read_lora
from engine.diffusion.merge_blocks import read as read_blocks
from engine.diffusion.merging import Formula, merge_clips, merge_models, method
from engine.diffusion.model import Model
from engine.diffusion.saving import Piece, stream_checkpoint
from engine.diffusion.vision import towers as vision


@dataclass(frozen=True)
class Merge:
    """Which files, how, and what is baked in."""

    files: Sequence[Path]
    method: str
    alpha: float
    beta: float
    seed: int
    blocks: str
    vae: Path | None
    loras: Sequence[tuple[Path, float]]

    def stream(self, title: str, dtype: str | None) -> Iterator[bytes]:
        """The merged file, piece by piece."""
        loaded = [load_checkpoint(path) for path in self.files]
        tell(loaded)
        alphas = read_blocks(self.blocks, self.alpha)
        model = merge_models(lambda row: self._formula(alphas(row.source)), *(one.model for one in loaded))
        clips = [one.clip for one in loaded if one.clip is not None]
        whole = len(clips) == len(loaded)
        clip = merge_clips(lambda row: self._formula(alphas.base), *clips) if whole else loaded[0].clip
        model, clip = self._with_loras(model, clip)
        vae = load_vae(self.vae) if self.vae is not None else loaded[0].vae
        said = {**modelspec.about(model.family.name, title, model), **self._recipe()}
        return stream_checkpoint(model, clip, vae, said, dtype, eyes(loaded[0]))

    def _formula(self, alpha: float) -> Formula | None:
        return method(self.method, alpha, self.beta, self.seed)

    def _with_loras(self, model: Model, clip: Clip | None) -> tuple[Model, Clip | None]:
        for path, strength in self.loras:
            tensors = read_lora(path)
            left = unmatched(tensors, [model.part, *(clip.parts if clip is not None else ())])
            if left:
                print(f"{path.name}: {len(left)} parts have no place in this model: {left[0]} ...", file=sys.stderr)
            patched, clip = apply_lora(model, clip, tensors, strength, strength)
            model = patched or model
        return model, clip

    def _recipe(self) -> dict[str, str]:
        """What the file says of how it was made, for us and by the model specification."""
        recipe = {name: getattr(self, name) for name in ("method", "alpha", "beta", "blocks", "seed")}
        recipe["vae"] = None if self.vae is None else self.vae.name
        recipe["lora"] = [f"{path.name}:{strength:g}" for path, strength in self.loras]
        recipe["files"] = [path.name for path in self.files]
        return {"loom.merge": json.dumps(recipe), "modelspec.merged_from": ", ".join(path.stem for path in self.files)}


def eyes(loaded: Checkpoint) -> list[Piece]:
    """The image encoder of a checkpoint whose prompts are pictures, where it lies in the file."""
    if loaded.clip_vision is None:
        return []
    names = read_tensors(loaded.path).tensors
    inside = loaded.clip_vision.part.keymap[0].source
    return [Piece(next(prefix for prefix in vision.PREFIXES if prefix + inside in names), loaded.clip_vision.part)]


def tell(loaded: Sequence[Checkpoint]) -> None:
    """Say where the files do not agree and the first one's word holds."""
    first = modelspec.prediction(loaded[0].model)
    for other in loaded[1:]:
        kind = modelspec.prediction(other.model).kind
        if kind != first.kind and other.family.name == loaded[0].family.name:
            ours, theirs = loaded[0].path.name, other.path.name
            print(f"{ours} predicts {first.kind}, {theirs} {kind}: the result is taken to predict {first.kind}", file=sys.stderr)
