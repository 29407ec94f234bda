"""The UNet and the text model of a run, in training and on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from .architecture import build_text, build_unet
from .tokens import Compact


@dataclass
class Pair:
    """The two networks that learn together."""

    unet: UNet2DConditionModel
    text: CLIPTextModel
    compact: Compact

    def named_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """Of both, with their network's name before them."""
        unet = [("unet." + n, p) for n, p in self.unet.named_parameters()]
        return unet + [("text." + n, p) for n, p in self.text.named_parameters()]

    def context(self, prompts: list[str]) -> Tensor:
        """What the UNet attends to, (B, 77, 128)."""
        return self.text(input_ids=self.compact.batch(prompts)).last_hidden_state

    def save(self, path: Path) -> None:
        """Whole or not at all: a reader never sees half a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        torch.save({"unet": self.unet.state_dict(), "text": self.text.state_dict()}, part)
        part.replace(path)


def new_pair(compact: Compact) -> Pair:
    """Untrained. The token table starts livelier than CLIP's 0.02: its few words must be told apart soon."""
    pair = Pair(build_unet(), build_text(len(compact)), compact)
    torch.nn.init.normal_(pair.text.get_input_embeddings().weight, 0, 0.3)
    return pair


def load_pair(path: Path, compact: Compact) -> Pair:
    """As saved, ready to go on training."""
    state = torch.load(path)
    pair = Pair(build_unet(), build_text(len(compact)), compact)
    pair.unet.load_state_dict(state["unet"])
    pair.text.load_state_dict(state["text"])
    return pair
