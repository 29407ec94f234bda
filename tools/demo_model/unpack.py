"""The states of a run from a shipped checkpoint, the inverse of ``export``: to distil or to train on without the first run.

python -m tools.demo_model.unpack --checkpoint models/checkpoints/loom-demo.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from .architecture import build_text, build_unet, build_vae
from .checkpoint import Pair
from .ldm_layout import State, ldm_text, ldm_unet, ldm_vae
from .paths import Paths, add_paths
from .tokens import Compact, Tokenizer


def fill(module: nn.Module, names: State, file: State) -> None:
    """Loads the module's weights, float32, from a file in which they have the names that ``names`` gives them in its order."""
    own = module.state_dict()
    found = {key: file[name].float().view_as(own[key]) for key, name in zip(own, names, strict=True)}
    module.load_state_dict(found)


def read_pair(file: State, compact: Compact) -> Pair:
    """The UNet, and the text model with the rows of the token table that captions use."""
    unet, whole = build_unet(), build_text()
    fill(unet, ldm_unet(unet.state_dict()), file)
    fill(whole, ldm_text(whole.state_dict()), file)
    state = whole.state_dict()
    key = next(k for k in state if k.endswith("token_embedding.weight"))
    state[key] = compact.reduce(state[key])
    text = build_text(len(compact))
    text.load_state_dict(state)
    return Pair(unet, text, compact)


def main() -> None:
    """Writes ``unet/final.pt`` and ``vae/final.pt``."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--checkpoint", type=Path, default=Path("models/checkpoints/loom-demo.safetensors"))
    a = ap.parse_args()
    paths = Paths.of(a)
    file = load_file(a.checkpoint)
    read_pair(file, Compact(Tokenizer(paths.wheel))).save(paths.work / "unet" / "final.pt")
    vae = build_vae()
    fill(vae, ldm_vae(vae.state_dict()), file)
    paths.vae.parent.mkdir(parents=True, exist_ok=True)
    torch.save(vae.state_dict(), paths.vae)
    print(f"{a.checkpoint.name}: {paths.work / 'unet' / 'final.pt'} and {paths.vae}")


if __name__ == "__main__":
    main()
