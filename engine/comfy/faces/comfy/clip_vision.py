"""Image encoders by ComfyUI's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.comfy.faces.comfy import model_management
from engine.comfy.finder import missing

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


def load(ckpt_path: str) -> Any:
    """The image encoder of a file."""
    from engine.diffusion.checkpoints import load_clip_vision

    return load_clip_vision(Path(ckpt_path), model_management._place())


def clip_preprocess(image: Any, size: int = 224, mean: Any = (0.48145466, 0.4578275, 0.40821073),
                    std: Any = (0.26862954, 0.26130258, 0.27577711), crop: bool = True) -> Any:  # fmt: skip
    """(B, H, W, 3) in 0..1 as the encoder expects it."""
    import torch

    from engine.diffusion.pixels.resize import resize

    small = resize(image[..., :3].movedim(-1, 1), size, size, "bicubic", "center" if crop else "disabled").clamp(0, 1)
    mean, std = (torch.tensor(values).to(small).reshape(1, 3, 1, 1) for values in (mean, std))
    return (small - mean) / std
