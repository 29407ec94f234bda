"""A low-rank change of the UNet's matrices and convolutions. Hu et al. 2021, https://arxiv.org/abs/2106.09685."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call


class Lora(nn.Module):
    """A pair of factors for each weight, of rank ``most`` where it is as large: ``up @ down`` is added, (out, in x kernel)."""

    def __init__(self, unet: UNet2DConditionModel, rank: int) -> None:
        super().__init__()
        self.weights = {k.removesuffix(".weight"): p.detach() for k, p in unet.named_parameters() if p.ndim >= 2}
        self.most = rank
        self.rank = {k: min(rank, w.shape[0], w[0].numel()) for k, w in self.weights.items()}
        self.down = nn.ParameterDict({self.name(k): torch.randn(self.rank[k], *w.shape[1:]) for k, w in self.weights.items()})
        self.up = nn.ParameterDict({self.name(k): torch.zeros(w.shape[0], self.rank[k]) for k, w in self.weights.items()})
        for p in self.down.values():
            p.data /= p[0].numel() ** 0.5

    @staticmethod
    def name(key: str) -> str:
        """The key as kohya's files write it, without its prefix."""
        return key.replace(".", "_")

    def merged(self) -> Iterator[tuple[str, Tensor]]:
        """The changed weights under the UNet's own names."""
        for key, w in self.weights.items():
            up, down = self.up[self.name(key)], self.down[self.name(key)]
            yield key + ".weight", w + (up @ down.flatten(1)).view_as(w)

    def call(self, unet: UNet2DConditionModel, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """The noise the changed UNet predicts."""
        return functional_call(unet, dict(self.merged()), (x, t, c)).sample

    @torch.no_grad()
    def merge_into(self, unet: UNet2DConditionModel) -> None:
        """Adds the change to the UNet for good."""
        unet.load_state_dict({**unet.state_dict(), **dict(self.merged())})

    @torch.no_grad()
    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """In kohya's naming, fp16; ``alpha`` is the rank, so that strength 1 is the trained change."""
        out: dict[str, Tensor] = {}
        for key, w in self.weights.items():
            name, rank = self.name(key), self.rank[key]
            ones = [1] * (w.ndim - 2)
            out[f"lora_unet_{name}.lora_down.weight"] = self.down[name].detach().half().contiguous()
            out[f"lora_unet_{name}.lora_up.weight"] = self.up[name].detach().reshape(w.shape[0], rank, *ones).half().contiguous()
            out[f"lora_unet_{name}.alpha"] = torch.tensor(float(rank), dtype=torch.float16)
        save_file(out, path, metadata=metadata)
