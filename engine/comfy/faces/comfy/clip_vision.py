"""Image encoders by ComfyUI's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from engine.comfy.faces.comfy import model_management
from engine.comfy.finder import missing
from engine.diffusion.clip_vision import MEAN, STD, ClipVision, ClipVisionOutput, prepared

__getattr__ = missing(__name__)


class Output:
    """What an encoder sees in pictures; by attribute and by key."""

    last_hidden_state: Any = None
    image_embeds: Any = None
    penultimate_hidden_states: Any = None

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __setitem__(self, key: str, item: Any) -> None:
        setattr(self, key, item)

    def to_engine(self) -> ClipVisionOutput:
        return ClipVisionOutput(self.last_hidden_state, self.penultimate_hidden_states, self.image_embeds)


class ClipVisionModel:
    """A CLIP_VISION."""

    engine: ClipVision

    @classmethod
    def of_engine(cls, engine: ClipVision) -> Self:
        made = object.__new__(cls)
        made.engine = engine
        return made

    def to_engine(self) -> ClipVision:
        return self.engine

    def encode_image(self, image: Any, crop: bool = True) -> Output:
        """Features of (B, H, W, 3) in 0..1."""
        seen, out = self.engine.encode(image, "center" if crop else "none"), Output()
        for name in ("last_hidden_state", "penultimate_hidden_states", "image_embeds"):
            out[name] = seen[name]
        return out

    @property
    def model(self) -> Any:
        return self.engine.place(self.engine.part)

    @property
    def image_size(self) -> int:
        return int(self.model.config.size)

    @property
    def load_device(self) -> Any:
        return model_management.text_encoder_device()

    @property
    def offload_device(self) -> Any:
        return model_management.text_encoder_offload_device()

    @property
    def dtype(self) -> Any:
        return next(self.model.parameters()).dtype

    def load_network(self) -> Any:
        return self.model

    def get_sd(self) -> dict[str, Any]:
        return dict(self.engine.part.stored)


def load(ckpt_path: str) -> ClipVisionModel:
    """The image encoder of a file."""
    from engine.diffusion.checkpoints import load_clip_vision

    return ClipVisionModel.of_engine(load_clip_vision(Path(ckpt_path), model_management._place()))


def clip_preprocess(image: Any, size: int = 224, mean: Any = MEAN, std: Any = STD, crop: bool = True) -> Any:
    """(B, H, W, 3) in 0..1 as an encoder of this size and normalisation was shown pictures."""
    import torch

    normal = prepared(image, size, crop)
    ours, theirs = ((torch.tensor(m).view(3, 1, 1), torch.tensor(s).view(3, 1, 1)) for m, s in ((MEAN, STD), (mean, std)))
    return (normal * ours[1] + ours[0] - theirs[0]) / theirs[1]
