"""Writes the shipped files: the checkpoint in the original single-file layout, and the few-step LoRA.

python -m tools.demo_model.export --unet unet/final.pt --vae vae/polished.pt --checkpoint loom-demo.safetensors
python -m tools.demo_model.export --unet unet/final.pt --lcm lcm/final.pt --lora loom-demo-lcm.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from .architecture import build_text, load_vae
from .checkpoint import Pair, load_pair
from .ldm_layout import State, ldm_text, ldm_unet, ldm_vae
from .lora import Lora
from .paths import Paths, add_paths
from .tokens import Compact, Tokenizer

LICENSE = "MIT; trained on Fluent Emoji (Microsoft, MIT) and Noto Emoji (Google, Apache-2.0), see the licence files beside it"
DESCRIPTION = "A tiny text-to-image model: 95 nouns as icons, alone or in pairs, on colours and in scenes, in three styles."


def metadata(title: str, recipe: str, **more: str) -> dict[str, str]:
    """The file's header, https://github.com/Stability-AI/ModelSpec."""
    spec = {
        "sai_model_spec": "1.0.0", "title": title, "architecture": "stable-diffusion-v1", "implementation": "diffusers",
        "resolution": "128x128", "prediction_type": "epsilon", "license": LICENSE, "description": DESCRIPTION, **more,
    }
    return {"format": "pt", "training_recipe": recipe, **{f"modelspec.{key}": value for key, value in spec.items()}}


def whole_text(pair: Pair) -> State:
    """The text model's state with the whole token table."""
    state = pair.text.state_dict()
    key = next(k for k in state if k.endswith("token_embedding.weight"))
    state[key] = pair.compact.expand(state[key])
    text = build_text()
    text.load_state_dict(state)
    return text.state_dict()


def write_checkpoint(pair: Pair, vae: State, path: Path, recipe: str) -> None:
    """The single file, fp16."""
    state = {**ldm_unet(pair.unet.state_dict()), **ldm_vae(vae), **ldm_text(whole_text(pair))}
    state = {k: v.detach().half().contiguous().clone() for k, v in state.items()}
    save_file(state, path, metadata=metadata("Loom demo", recipe))
    print(f"{path.name}: {len(state)} tensors, {path.stat().st_size / 1e6:.1f} MB")


def load_lora(pair: Pair, path: Path) -> Lora:
    """A distilled LoRA for the pair's UNet."""
    saved = torch.load(path)
    lora = Lora(pair.unet, saved["rank"])
    lora.load_state_dict(saved["state"])
    return lora


def parse() -> argparse.Namespace:
    """The command's options."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--unet", type=Path, default=Path("unet/final.pt"), help="a state below --work, as the following")
    ap.add_argument("--vae", type=Path, default=Path("vae/final.pt"))
    ap.add_argument("--lcm", type=Path, default=Path("lcm/final.pt"))
    ap.add_argument("--checkpoint", type=Path, help="write the checkpoint there")
    ap.add_argument("--lora", type=Path, help="write the few-step LoRA there")
    ap.add_argument("--recipe", default="tools/demo_model/README.md", help="how it was trained, for the file's header")
    return ap.parse_args()


def main() -> None:
    """Writes what was asked for."""
    a = parse()
    paths = Paths.of(a)
    pair = load_pair(paths.work / a.unet, Compact(Tokenizer(paths.wheel)))
    if a.checkpoint:
        write_checkpoint(pair, load_vae(paths.work / a.vae).state_dict(), a.checkpoint, a.recipe)
    if a.lora:
        lora = load_lora(pair, paths.work / a.lcm)
        more = {"architecture": "stable-diffusion-v1/lora", "usage_hint": "sampler lcm, CFG 1, strength 1"}
        spec = metadata("Loom demo, 4 to 8 steps", a.recipe, **more)
        lora.save(a.lora, {**spec, "ss_network_module": "networks.lora", "ss_base_model_version": "sd_v1"})
        print(f"{a.lora.name}: {a.lora.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
