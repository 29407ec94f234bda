"""Seconds a step and a decode of a real-size Stable Diffusion 1.5 with random weights, beside diffusers in float32.

    python benchmarks/sampler.py [--steps 3] [--size 512] [--threads 2]

The checkpoint (2 GB, half precision) is made from a seed in a temporary folder. Each side runs in a process of its own,
one after the other. CPU seconds are told beside wall seconds: on a busy machine they are the ones to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

CHANNELS, CONTEXT = (320, 640, 1280, 1280), 768


def make_checkpoint(path: Path) -> None:
    """Random weights of about unit gain, in the original layout of Stable Diffusion 1.5."""
    import torch
    from safetensors.torch import save_file

    from engine.diffusion import autoencoder_kl
    from engine.diffusion.families import unet
    from engine.diffusion.text.network import ClipText, TextConfig

    up = ((0, 0, 0), (1, 1, 1), (1, 1, 1), (1, 1, 1))
    down = ((1, 1), (1, 1), (1, 1), (0, 0))
    denoiser = unet.UNetConfig(4, 4, CHANNELS, down, 1, up, CONTEXT, linear=False, vector=None)
    vae = autoencoder_kl.KLConfig(3, 3, 4, (128, 256, 512, 512), 2, quant_conv=True)
    with torch.device("meta"):
        text = ClipText(TextConfig(768, 12, 3072, "quick_gelu"))
    generator, tensors = torch.Generator().manual_seed(0), {}
    parts: list[tuple[str, Any, dict[str, str]]] = [
        ("model.diffusion_model.", unet.build(denoiser), unet.modules(denoiser)),
        ("first_stage_model.", vae.build(), autoencoder_kl.modules(vae)),
        ("cond_stage_model.transformer.", text, {name: name for name, _ in text.named_modules()}),
    ]
    for prefix, module, table in parts:
        names = {target: source for source, target in table.items()}
        for name, parameter in module.named_parameters():
            end = name.rfind(".")
            while name[:end] not in names:
                end = name.rfind(".", 0, end)
            shape = parameter.shape
            if parameter.ndim > 1:
                weight = torch.randn(shape, generator=generator) / shape[1:].numel() ** 0.5
            else:
                weight = torch.full(shape, 1.0 if "norm" in name and name.endswith("weight") else 0.0)
            tensors[prefix + names[name[:end]] + name[end:]] = weight.half()
    save_file(tensors, path)


class Watch:
    """Wall and CPU seconds since the last look."""

    def __init__(self) -> None:
        self.look()

    def look(self) -> tuple[float, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        now = (time.perf_counter(), usage.ru_utime + usage.ru_stime)
        before, self.last = getattr(self, "last", now), now
        return now[0] - before[0], now[1] - before[1]


def with_diffusers(path: Path, size: int, steps: int) -> dict[str, Any]:
    """diffusers' own modules in float32, channels first, as its pipeline calls them."""
    import torch
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    from engine.diffusion.checkpoints import load_checkpoint

    checkpoint = load_checkpoint(path)
    assert checkpoint.denoiser is not None
    assert checkpoint.vae is not None
    network: Any = checkpoint.denoiser.module(torch.float32)
    generator = torch.Generator().manual_seed(1)
    context = torch.randn(2, 77, CONTEXT, generator=generator)
    scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    scheduler.set_timesteps(steps)
    x = torch.randn(1, 4, size // 8, size // 8, generator=generator) * scheduler.init_noise_sigma
    seconds, watch = [], Watch()
    with torch.no_grad():
        for t in scheduler.timesteps:
            scaled = scheduler.scale_model_input(torch.cat([x, x]), t)
            uncond, cond = network(scaled, t, encoder_hidden_states=context).sample.chunk(2)
            x = scheduler.step(uncond + 7.0 * (cond - uncond), t, x).prev_sample
            seconds.append(watch.look())
        del network
        vae: Any = checkpoint.vae.part.module(torch.float32)
        latent = torch.randn(1, 4, size // 8, size // 8, generator=generator)
        watch.look()
        vae.decode(latent)
        return result(seconds, watch.look())


def with_ours(path: Path, size: int, steps: int) -> dict[str, Any]:
    """The path of a node: load, encode, sample, decode."""
    import torch

    from engine.diffusion.checkpoints import load_checkpoint
    from engine.diffusion.precision import steady_allocator
    from engine.diffusion.residency import Residency
    from engine.diffusion.sampling import ksampler

    steady_allocator()
    place = Residency("cpu")
    checkpoint = load_checkpoint(path, place)
    assert checkpoint.clip is not None
    assert checkpoint.vae is not None
    positive, negative = checkpoint.clip.encode_many(["a cat", ""])
    latent = {"samples": torch.zeros(1, 4, size // 8, size // 8)}
    checkpoint.model.network()
    seconds, watch = [], Watch()
    ksampler(
        checkpoint.model, positive, negative, latent, seed=1, steps=steps, cfg=7.0, sampler_name="euler", scheduler="normal",
        report=lambda done, total, draw: seconds.append(watch.look()),
    )  # fmt: skip
    place.free("denoiser")
    latent = torch.randn(1, 4, size // 8, size // 8, generator=torch.Generator().manual_seed(1))
    checkpoint.vae.place(checkpoint.vae.part)
    watch.look()
    checkpoint.vae.decode(latent)
    return result(seconds, watch.look())


def result(steps: list[tuple[float, float]], decode: tuple[float, float]) -> dict[str, Any]:
    """The fastest step after the first, which warms up."""
    later = steps[1:] or steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"first": steps[0], "step": tuple(map(min, zip(*later, strict=True))), "decode": decode, "peak_GB": peak}


SIDES: dict[str, Callable[[Path, int, int], dict[str, Any]]] = {"diffusers": with_diffusers, "ours": with_ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help="a checkpoint to use or, if it is not there, to make and keep")
    options = parser.parse_args()
    if options.side:
        import torch

        torch.set_num_threads(options.threads)
        print(json.dumps(SIDES[options.side](options.path, options.size, options.steps)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.path or Path(folder) / "sd15-random.safetensors"
        if not path.exists():
            make_checkpoint(path)
        measured = {side: run(side, path, options) for side in SIDES}
    report(measured)


def run(side: str, path: Path, options: argparse.Namespace) -> dict[str, Any]:
    arguments = [sys.executable, __file__, "--side", side, "--path", str(path)]
    arguments += ["--steps", str(options.steps), "--size", str(options.size), "--threads", str(options.threads)]
    done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def report(measured: dict[str, dict[str, Any]]) -> None:
    """A line a quantity, and the ratio, so that a slow machine does not matter."""
    theirs, ours = measured["diffusers"], measured["ours"]
    print(f"{'':12}{'diffusers':>22}{'ours':>22}{'ratio':>16}")
    for name in ("first", "step", "decode"):
        a, b = theirs[name], ours[name]
        print(f"{name:12}{a[0]:10.2f} s {a[1]:6.1f} cpu{b[0]:10.2f} s {b[1]:6.1f} cpu{a[0] / b[0]:7.2f} x {a[1] / b[1]:4.2f} cpu")
    print(f"{'peak memory':12}{theirs['peak_GB']:19.2f} GB{ours['peak_GB']:19.2f} GB")


if __name__ == "__main__":
    main()
