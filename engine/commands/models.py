"""``main.py models inspect|hash|convert|prune|merge``: what model files are, and other files made of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.folders import Folders, MissingFileError
from engine.settings import Settings

METHODS = ("weighted", "spherical", "add difference", "train difference", "sum twice", "cosine", "DARE", "TIES")
THREE = ("add difference", "train difference", "sum twice", "TIES")
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".gguf")
TYPES = ("fp32", "fp16", "bf16", "fp8")

MERGE = """\
Merge two checkpoints A and B, or three, into one: RESULT has A's layout, number format, VAE and kind of prediction.

methods, with alpha (0 is A) and beta:
  weighted           (1 - alpha) A + alpha B
  spherical          the same along the great circle, which keeps the length
  cosine             A where A and B are alike, B elsewhere; alpha moves all towards B
  DARE               A + alpha (B - A), a random share beta of the numbers left out and the rest enlarged
  add difference     A + alpha (B - C)
  train difference   the same, held back where A is near B already, as training would be
  sum twice          ((1 - alpha) A + alpha B) (1 - beta) + beta C
  TIES               C + alpha times what A and B learned from C where they agree; the largest share beta of it

An inpainting model as A takes plain ones as B and C: add difference with C the plain base makes B an inpainting model."""

EXAMPLES = """\
examples:
  main.py models merge a.safetensors b.safetensors ab.safetensors --alpha 0.3
  main.py models merge sd-inpainting.ckpt mine.safetensors sd15.ckpt mine-inpainting.safetensors \\
      --method "add difference" --alpha 1
  main.py models merge a.safetensors b.safetensors ab.safetensors --blocks "0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,1,1"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "main.py models ACTION ... [settings]"
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", prog="main.py models")
    file = "a path, or a name in a model folder"
    for name, about in (
        ("inspect", "say what files are: family, parts, number formats, what may be pruned"),
        ("hash", "print SHA-256 and the short forms people quote"),
    ):
        action = actions.add_parser(name, help=about, description=about.capitalize() + ".")
        action.add_argument("files", nargs="+", metavar="FILE", help=file)
        action.add_argument("--json", action="store_true", help="print JSON instead of words")
    convert = _making(actions, "convert", "write a safetensors file: from a pickle, with narrower numbers, pruned")
    convert.add_argument("file", metavar="FILE", help=f"{file}; or a folder of diffusers, which becomes one file")
    convert.add_argument("--prune", action="store_true", help="leave out what no picture is made from")
    prune = _making(actions, "prune", "write it without what no picture is made from: averages of training, schedules")
    prune.add_argument("file", metavar="FILE", help=file)
    prune.set_defaults(prune=True)
    for action in (convert, prune):
        action.add_argument(
            "--average", action="store_true", help="take training's running average (EMA) in place of the weights"
        )
    merge = _making(actions, "merge", "merge two or three checkpoints into one", MERGE, EXAMPLES)
    merge.add_argument("files", nargs="+", metavar="FILE", help="two checkpoints, or three (A B C), in any format and precision")
    merge.add_argument("--method", choices=METHODS, default="weighted", metavar="METHOD", help="(default: weighted)")
    merge.add_argument("--alpha", type=float, default=0.5, help="0 is A (default: 0.5)")
    merge.add_argument("--beta", type=float, default=0.5, help="share of C (sum twice), left out (DARE), kept (TIES); 0.5")
    blocks = "an alpha a block: 26 numbers (20 for SDXL) for BASE IN.. M00 OUT.., a preset such as GRAD_V, or output_blocks.=0.3"
    merge.add_argument("--blocks", default="", help=blocks)
    merge.add_argument("--seed", type=int, default=0, help="of what DARE leaves out")
    merge.add_argument("--vae", metavar="FILE", help="bake this VAE in")
    merge.add_argument("--lora", metavar="FILE[:STRENGTH]", action="append", default=[], help="work this LoRA in; repeatable")
    for action in (convert, prune, merge):  # the last of the words
        action.add_argument("result", type=Path, metavar="RESULT", help="the safetensors file to write")


def _making(actions: Any, name: str, about: str, description: str = "", examples: str = "") -> argparse.ArgumentParser:
    """An action that writes a file."""
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=about, description=description or about.capitalize() + ".", epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--dtype", choices=TYPES, help="number format; fp8 is for the denoiser's matrices, the rest becomes fp16")
    parser.add_argument("--overwrite", action="store_true", help="write RESULT even if there is such a file")
    return parser


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    from engine.diffusion.containers import CheckpointError

    action = {"inspect": inspect, "hash": hash_files, "convert": convert, "prune": convert, "merge": merge}[arguments.action]
    try:
        return action(arguments, settings.folders())
    except OSError as error:
        print(error.strerror if error.filename is None else f"{error.filename}: {error.strerror}", file=sys.stderr)
    except (CheckpointError, MissingFileError, ValueError) as error:
        print(error, file=sys.stderr)
    return 2


def find(name: str, folders: Folders) -> Path:
    """A path as given, of a file or a diffusers folder, or the file of that name in the first model folder that has it."""
    if Path(name).is_file() or Path(name).is_dir():
        return Path(name)
    kinds = ("checkpoints", "diffusion_models", "loras", "vae", "text_encoders", "controlnet", "embeddings", "clip_vision")
    for kind in kinds:
        if name in folders.names(kind):
            return folders.find(kind, name)
    if Path(name).is_absolute() or Path(name).parent != Path():
        raise ValueError(f"there is no file {name}")
    return folders.find("checkpoints", name)


def each(arguments: argparse.Namespace, folders: Folders, ask: Callable[[Path], Any]) -> Iterator[tuple[str, Any]]:
    """Every file and what is said of it; a file of which nothing can be said is told of, and ``arguments.failed`` set."""
    from engine.diffusion.containers import CheckpointError

    arguments.failed = False
    for name in arguments.files:
        try:
            path = find(name, folders)
            if path.is_dir() and arguments.action == "hash":
                raise ValueError(f"{name} is a folder: name a file in it")
            yield name, ask(path)
        except (CheckpointError, MissingFileError, ValueError, OSError) as error:
            arguments.failed = True
            print(error, file=sys.stderr)


def inspect(arguments: argparse.Namespace, folders: Folders) -> int:
    from engine.diffusion.inspection import inspect as report

    reports = [one for _, one in each(arguments, folders, report)]
    if arguments.json:
        print(json.dumps([one.as_dict() for one in reports], indent=2))
    else:
        print("\n".join(line for one in reports for line in one.lines()))
    return 2 if arguments.failed else 0


def hash_files(arguments: argparse.Namespace, folders: Folders) -> int:
    from engine.diffusion.inspection import hashes

    found = {}
    for name, digests in each(arguments, folders, hashes):
        found[name] = digests
        if not arguments.json:
            print(name, *(f"{kind} {digest}" for kind, digest in digests.items()), sep="\n  ")
    if arguments.json:
        print(json.dumps(found, indent=2))
    return 2 if arguments.failed else 0


def convert(arguments: argparse.Namespace, folders: Folders) -> int:
    from engine.diffusion.conversion import convert as converted
    from engine.diffusion.conversion import folder

    path = find(arguments.file, folders)
    check_result(arguments)
    if path.is_dir():
        return made(arguments, folder(path, arguments.dtype), path)
    return made(arguments, converted(path, arguments.dtype, prune=arguments.prune, average=arguments.average), path)


def merge(arguments: argparse.Namespace, folders: Folders) -> int:
    from engine.commands.merge import Merge

    needed = 3 if arguments.method in THREE else 2
    if len(arguments.files) != needed:
        raise ValueError(f"{arguments.method} merges {needed} files, not {len(arguments.files)}, and a RESULT comes after them")
    paths = [find(name, folders) for name in arguments.files]
    check_result(arguments)
    vae = find(arguments.vae, folders) if arguments.vae else None
    loras = [(find(name, folders), strength) for name, strength in map(lora, arguments.lora)]
    task = Merge(paths, arguments.method, arguments.alpha, arguments.beta, arguments.seed, arguments.blocks, vae, loras)
    return made(arguments, task.stream(arguments.result.stem, arguments.dtype), paths[0])


def lora(word: str) -> tuple[str, float]:
    """A file and its strength: ``name``, ``name:0.8``."""
    name, colon, strength = word.rpartition(":")
    if not colon or Path(word).is_file():
        return word, 1.0
    try:
        return name, float(strength)
    except ValueError as error:
        raise ValueError(f"--lora {word}: {strength!r} after the colon is no strength, such as 0.8") from error


def check_result(arguments: argparse.Namespace) -> None:
    """Before anything long begins: the result must be a new file."""
    result: Path = arguments.result
    if result.is_dir():
        raise ValueError(f"{result} is a folder: name the file to write, such as {result / 'result.safetensors'}")
    if not result.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {result.absolute().parent} to write {result.name} into")
    named = result.with_suffix(".safetensors") if result.suffix.lower() in PICKLES else Path(f"{result}.safetensors")
    if result.suffix.lower() not in (".safetensors", ".sft"):
        raise ValueError(f"the result is a safetensors file: call it {named.name}")
    if result.exists() and not arguments.overwrite:
        raise ValueError(f"there is a file {result}: name another, or add --overwrite")


def made(arguments: argparse.Namespace, data: Iterable[bytes], source: Path) -> int:
    """Write it, and say so."""
    from engine.diffusion.inspection import size
    from engine.diffusion.saving import write

    write(arguments.result, data)
    print(f"{arguments.result}: {size(arguments.result.stat().st_size)} (from {size(nbytes(source))})")
    return 0


def nbytes(source: Path) -> int:
    """Of a file, or of all in a folder."""
    return sum(path.stat().st_size for path in source.rglob("*") if path.is_file()) if source.is_dir() else source.stat().st_size
