"""``main.py models inspect|hash|convert|prune|merge``: what model files are, and other files made of them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from engine.folders import Folders, MissingFileError
from engine.settings import Settings

METHODS = ("weighted", "spherical", "add difference", "train difference", "sum twice", "cosine", "DARE", "TIES")
THREE = ("add difference", "train difference", "sum twice", "TIES")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    inspect = actions.add_parser("inspect", help="say what files are: family, parts, number formats, what may be pruned")
    inspect.add_argument("files", nargs="+", metavar="FILE", help="a path, or a name in a model folder")
    inspect.add_argument("--json", action="store_true", help="print JSON instead of words")
    hashes = actions.add_parser("hash", help="print SHA-256 and the short forms people quote")
    hashes.add_argument("files", nargs="+", metavar="FILE")
    hashes.add_argument("--json", action="store_true")
    convert = actions.add_parser("convert", help="write a safetensors file: from a pickle, with narrower numbers, pruned")
    convert.add_argument("file", metavar="FILE")
    convert.add_argument("result", type=Path)
    convert.add_argument("--dtype", choices=("fp32", "fp16", "bf16", "fp8"), help="number format; fp8 is for the denoiser alone")
    convert.add_argument("--prune", action="store_true", help="leave out what no picture is made from")
    convert.add_argument("--average", action="store_true", help="take training's running average in place of the weights")
    prune = actions.add_parser("prune", help="write it without what no picture is made from: averages of training, schedules")
    prune.add_argument("file", metavar="FILE")
    prune.add_argument("result", type=Path)
    prune.add_argument("--dtype", choices=("fp32", "fp16", "bf16", "fp8"), help="number format")
    prune.set_defaults(prune=True, average=False)
    merge = actions.add_parser("merge", help="merge two or three checkpoints into one")
    merge.add_argument("files", nargs="+", metavar="FILE", help="two checkpoints, or three (A B C)")
    merge.add_argument("result", type=Path)
    merge.add_argument("--method", choices=METHODS, default="weighted")
    merge.add_argument("--alpha", type=float, default=0.5, help="0 is A (default 0.5)")
    merge.add_argument("--beta", type=float, default=0.5, help="share of C (sum twice), left out (DARE), kept (TIES)")
    merge.add_argument(
        "--blocks", default="", help="an alpha a block: 26 numbers (20 for SDXL), or output_blocks.=0.3 and the like"
    )
    merge.add_argument("--seed", type=int, default=0)
    merge.add_argument("--vae", metavar="FILE", help="bake this VAE in")
    merge.add_argument("--lora", metavar="FILE[:STRENGTH]", action="append", default=[], help="work this LoRA in; repeatable")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    from engine.diffusion.containers import CheckpointError

    action = {"inspect": inspect, "hash": hash_files, "convert": convert, "prune": convert, "merge": merge}[arguments.action]
    try:
        return action(arguments, settings.folders())
    except (CheckpointError, MissingFileError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


def find(name: str, folders: Folders) -> Path:
    """A path as given, or the file of that name in the first model folder that has it."""
    if Path(name).is_file():
        return Path(name)
    kinds = ("checkpoints", "diffusion_models", "loras", "vae", "text_encoders", "controlnet", "embeddings", "clip_vision")
    for kind in kinds:
        if name in folders.names(kind):
            return folders.find(kind, name)
    return folders.find("checkpoints", name)


def inspect(arguments: argparse.Namespace, folders: Folders) -> int:
    from engine.diffusion.inspection import inspect as report

    reports = [report(find(name, folders)) for name in arguments.files]
    if arguments.json:
        print(json.dumps([one.as_dict() for one in reports], indent=2))
    else:
        print("\n".join(line for one in reports for line in one.lines()))
    return 0


def hash_files(arguments: argparse.Namespace, folders: Folders) -> int:
    from engine.diffusion.inspection import hashes

    found = {name: hashes(find(name, folders)) for name in arguments.files}
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        for name, digests in found.items():
            print(name, *(f"{kind} {digest}" for kind, digest in digests.items()), sep="\n  ")
    return 0


def convert(arguments: argparse.Namespace, folders: Folders) -> int:
    from engine.diffusion.conversion import convert as converted
    from engine.diffusion.saving import write

    path = find(arguments.file, folders)
    write(arguments.result, converted(path, arguments.dtype, prune=arguments.prune, average=arguments.average))
    return told(path, arguments.result)


def merge(arguments: argparse.Namespace, folders: Folders) -> int:
    from engine.diffusion.checkpoints import load_checkpoint, load_vae
    from engine.diffusion.containers import read_tensors
    from engine.diffusion.lora import apply_lora
    from engine.diffusion.merge_blocks import read as read_blocks
    from engine.diffusion.merging import Formula, merge_clips, merge_models, method
    from engine.diffusion.saving import stream_checkpoint, write

    paths = [find(name, folders) for name in arguments.files]
    needed = 3 if arguments.method in THREE else 2
    if len(paths) != needed:
        raise ValueError(f"{arguments.method} merges {needed} files, not {len(paths)}")
    loaded = [load_checkpoint(path) for path in paths]
    alphas = read_blocks(arguments.blocks, arguments.alpha)

    def formula(alpha: float) -> Formula | None:
        return method(arguments.method, alpha, arguments.beta, arguments.seed)

    model = merge_models(lambda row: formula(alphas(row.source)), *(one.model for one in loaded))
    clips = [one.clip for one in loaded if one.clip is not None]
    clip = merge_clips(lambda row: formula(alphas.base), *clips) if len(clips) == needed else loaded[0].clip
    vae = load_vae(find(arguments.vae, folders)) if arguments.vae else loaded[0].vae
    for word in arguments.lora:
        name, _, strength = word.rpartition(":") if word.rpartition(":")[0] else (word, "", "1")
        tensors = read_tensors(find(name, folders)).tensors
        patched, clip = apply_lora(model, clip, tensors, float(strength), float(strength))
        model = patched or model
    recipe = {name: getattr(arguments, name) for name in ("method", "alpha", "beta", "blocks", "seed", "vae", "lora")}
    recipe["files"] = [path.name for path in paths]
    write(arguments.result, stream_checkpoint(model, clip, vae, {"loom.merge": json.dumps(recipe)}))
    return told(paths[0], arguments.result)


def told(source: Path, result: Path) -> int:
    """Say what was written."""
    from engine.diffusion.inspection import size

    print(f"{result}: {size(result.stat().st_size)} (from {size(source.stat().st_size)})")
    return 0
