"""Seconds and peak memory of merging two real-size UNet files into a third, beside a merge that reads both whole.

    python benchmarks/merge.py [--family sdxl] [--method weighted] [--threads 2]

The files (half precision, random) are made in a temporary folder, 5 GB each for SDXL; the merge is what
``python main.py models merge`` does, in a process of its own. Peak memory is all of it, mapped pages of the files included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

PROJECT = Path(__file__).parents[1]


def make(path: Path, family: str, seed: int) -> None:
    """A UNet file with every weight of the family, in its original names."""
    import torch

    from benchmarks.lora import configuration, filled
    from engine.diffusion.families import unet
    from engine.diffusion.families.sd1 import SD1
    from engine.diffusion.families.sdxl import MODULES, SDXL
    from engine.diffusion.saving import Entry, stream_tensors, write

    config = configuration(family)
    bound = SDXL(config) if family == "sdxl" else SD1(config)
    back = {target: source for source, target in (unet.modules(config) | MODULES).items()}
    noise = torch.randn(1 << 24, generator=torch.Generator().manual_seed(seed)).half() * 0.02
    shapes = {}
    for name, parameter in bound.build().state_dict().items():
        end = name.rfind(".")
        while name[:end] not in back:
            end = name.rfind(".", 0, end)
        shapes[f"model.diffusion_model.{back[name[:end]]}{name[end:]}"] = parameter.shape
    values = (filled(shape, noise) for shape in shapes.values())
    write(path, stream_tensors({name: Entry(torch.float16, tuple(shape)) for name, shape in shapes.items()}, values, {}))


def whole(paths: list[str], result: str) -> None:
    """The straightforward merge: both files in memory, the mean of each weight, all saved at the end."""
    from safetensors.torch import load_file, save_file

    first, second = (load_file(path) for path in paths)
    for name in first:
        first[name] = (first[name].float() * 0.5 + second[name].float() * 0.5).half()
    save_file(first, result)


def peak(arguments: list[str], threads: int) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak bytes of a process: a child of a child, so that each peak is its own."""
    inner = "import resource,subprocess,sys;subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL);"
    inner += "u=resource.getrusage(resource.RUSAGE_CHILDREN);print(u.ru_utime+u.ru_stime,u.ru_maxrss)"
    start = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    run = [sys.executable, "-c", inner, sys.executable, *arguments]
    done = subprocess.run(run, cwd=PROJECT, check=True, env=environment, capture_output=True, text=True)
    cpu, kilobytes = map(float, done.stdout.split())
    return time.perf_counter() - start, cpu, kilobytes * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=("sd15", "sdxl"), default="sdxl")
    parser.add_argument("--method", default="weighted")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--whole", nargs=3, metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument(
        "--no-baseline", action="store_true", help="leave the other merge out: it needs memory for two files and more"
    )
    options = parser.parse_args()
    if options.whole:
        whole(options.whole[:2], options.whole[2])
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}.safetensors" for name in "ab"]
        for seed, path in enumerate(paths):
            make(Path(path), options.family, seed)
        size = Path(paths[0]).stat().st_size
        print(f"{options.family}: two files of {size / 1e9:.2f} GB, {options.method}", flush=True)
        ours = ["main.py", "models", "merge", *paths, f"{folder}/merged.safetensors", "--method", options.method]
        report("main.py models merge", peak(ours, options.threads), size)
        if not options.no_baseline:
            theirs = ["benchmarks/merge.py", "--whole", *paths, f"{folder}/whole.safetensors"]
            report("both files read whole (baseline)", peak(theirs, options.threads), size)


def report(what: str, figures: tuple[float, float, float], size: int) -> None:
    wall, cpu, nbytes = figures
    print(f"{what:34}{wall:8.1f} s {cpu:8.1f} cpu {nbytes / 1e9:8.2f} GB = {nbytes / size:.2f} x one file", flush=True)


if __name__ == "__main__":
    main()
