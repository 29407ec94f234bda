"""Seconds to put ten LoRAs on a real-size UNet and to take them off, beside a plain merge of W + up down.

Large weights are patched when they are first used, so what the first call of the network takes beyond the second is counted, too.

    python benchmarks/lora.py [--family sdxl] [--loras 10] [--rank 16] [--threads 2]

Weights are random half precision, mapped from a file; the LoRAs cover every projection of every attention and feed-forward block.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Size, Tensor

    from engine.diffusion.families.unet import UNetConfig
    from engine.diffusion.parts import Part, Tensors
    from engine.diffusion.patches import Patch
    from engine.diffusion.residency import Residency

COVERED = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")


def configuration(family: str) -> UNetConfig:
    from engine.diffusion.families.unet import UNetConfig

    if family == "sdxl":
        up = ((10, 10, 10), (2, 2, 2), (0, 0, 0))
        return UNetConfig(4, 4, (320, 640, 1280), ((0, 0), (2, 2), (10, 10)), 10, up, 2048, linear=True, vector=2816)
    up = ((0, 0, 0), (1, 1, 1), (1, 1, 1), (1, 1, 1))
    return UNetConfig(4, 4, (320, 640, 1280, 1280), ((1, 1), (1, 1), (1, 1), (0, 0)), 1, up, 768, linear=False, vector=None)


def make_part(config: UNetConfig, folder: str) -> Part:
    """A network whose weights are mapped from a file in ``folder``."""
    import torch

    from engine.diffusion.containers import read_tensors
    from engine.diffusion.families import unet
    from engine.diffusion.parts import Part, straight
    from engine.diffusion.saving import Entry, stream_tensors, write

    shapes = {name: parameter.shape for name, parameter in unet.build(config).named_parameters()}
    noise = torch.randn(1 << 24, generator=torch.Generator().manual_seed(0)).half() * 0.02
    entries = {name: Entry(torch.float16, tuple(shape)) for name, shape in shapes.items()}
    path = Path(folder, "unet.safetensors")
    write(path, stream_tensors(entries, (filled(shape, noise) for shape in shapes.values()), {}))
    stored = read_tensors(path).tensors
    return Part("denoiser", lambda: unet.build(config), straight(stored), stored)


def filled(shape: Size, noise: Tensor) -> Tensor:
    """A tensor of its own of that shape, filled from the start of ``noise``."""
    count = shape.numel()
    return noise.repeat(-(-count // len(noise)))[:count].view(shape) if count > len(noise) else noise[:count].clone().view(shape)


def make_lora(part: Part, rank: int, seed: int) -> Tensors:
    import torch

    generator, tensors = torch.Generator().manual_seed(seed), {}
    for name, weight in part.stored.items():
        module = name.removesuffix(".weight")
        if module.endswith(COVERED) and ".attentions." in name and weight.ndim > 1:
            key = f"lora_unet_{module.replace('.', '_')}"
            shape = (rank, *weight.shape[1:])
            tensors[key + ".lora_up.weight"] = torch.randn(weight.shape[0], rank, generator=generator).half() * 0.01
            tensors[key + ".lora_down.weight"] = torch.randn(shape, generator=generator).half() * 0.01
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=("sd15", "sdxl"), default="sdxl")
    parser.add_argument("--loras", type=int, default=10)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        measure(options, folder)


def measure(options: argparse.Namespace, folder: str) -> None:
    from engine.diffusion.lora import read_adapters
    from engine.diffusion.patches import Patch
    from engine.diffusion.precision import steady_allocator
    from engine.diffusion.residency import Residency

    steady_allocator()
    part = make_part(configuration(options.family), folder)
    files = [make_lora(part, options.rank, seed) for seed in range(options.loras)]
    place = Residency("cpu")
    modules = len(files[0]) // 2
    size = f"{part.parameters / 1e9:.2f} G parameters"
    print(f"{options.family}: {size}; {options.loras} LoRAs, {modules} modules each, rank {options.rank}", flush=True)
    use(place, part, (), "the plain network")
    start = time.perf_counter()
    adapters = [read_adapters(tensors, [part])[0] for tensors in files]
    print(f"{'read the files':44}{time.perf_counter() - start:8.2f} s")
    ours = use(place, part, tuple(Patch(adapter, 0.1) for adapter in adapters), "all LoRAs")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{'memory of the patched network':44}{place.resident()[-1].nbytes / 1e9:8.2f} GB; at most {peak:.2f} in the process")
    place.free()
    use(place, part, (Patch(adapters[0], 0.8),), "one LoRA")
    use(place, part, (Patch(adapters[0], 0.7),), "it at another strength")
    use(place, part, (), "none again")
    theirs = seconds("merge all one by one (baseline)", lambda: merge(part, files))
    print(f"{'ratio of the baseline to placing and first use':44}{theirs / ours:8.2f} x")


def use(place: Residency, part: Part, patches: tuple[Patch, ...], what: str) -> float:
    """Seconds that placing takes, and the first call beyond the second, at the size of a small picture."""
    import torch

    from engine.diffusion.families.unet import call

    placing = seconds(f"place {what}", lambda: place(part, patches))
    network: Any = place(part, patches)
    x, context = torch.ones(1, 4, 32, 32), torch.ones(1, 77, network.config.cross_attention_dim)
    inputs, timestep = {"context": context}, torch.tensor([500.0])
    with torch.inference_mode():
        first, second = (seconds(f"    {n} call", lambda: call(network, x, timestep, inputs)) for n in ("first", "second"))
    print(f"{'    placing, and first call - second':44}{placing + first - second:8.2f} s", flush=True)
    return placing + first - second


def merge(part: Part, files: list[Tensors]) -> None:
    """What a straightforward patcher does: W <- W + 0.1 up down, in float32, a file after another."""
    for name, weight in part.stored.items():
        key = f"lora_unet_{name.removesuffix('.weight').replace('.', '_')}"
        if key + ".lora_up.weight" in files[0]:
            merged = weight.float()
            for tensors in files:
                up, down = tensors[key + ".lora_up.weight"].float(), tensors[key + ".lora_down.weight"].float()
                merged += 0.1 * (up.flatten(1) @ down.flatten(1)).view(weight.shape)


def seconds(what: str, do: object) -> float:
    assert callable(do)
    start, cpu = time.perf_counter(), time.process_time()
    do()
    wall = time.perf_counter() - start
    print(f"{what:44}{wall:8.2f} s {time.process_time() - cpu:8.2f} cpu", flush=True)
    return wall


if __name__ == "__main__":
    main()
