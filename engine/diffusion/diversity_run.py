"""Pictures of every prompt and seed by one setting, measured: how they differ, whether they show the prompt, what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.clip import Clip
from engine.diffusion.clip_vision import ClipVision
from engine.diffusion.conditioning import Conditioning
from engine.diffusion.diversity import Variety, cosine_kernel, mean_pairwise, vae_features, variety
from engine.diffusion.guidance import basic_guider
from engine.diffusion.model import Model
from engine.diffusion.noise import starting_noise
from engine.diffusion.samplers import Sampler
from engine.diffusion.timeline import Timeline, sample_timeline
from engine.diffusion.vae import Vae

if TYPE_CHECKING:
    from engine.types import Latent

JUDGED_AT = (0.25, 0.5)
"""Shares of the schedule at which the judge looks: where prompts make a difference."""


@dataclass(frozen=True)
class Measured:
    """One setting: its pictures of each prompt (seeds, H, W, 3), and what was measured of each prompt's."""

    name: str
    images: tuple[Tensor, ...]
    varieties: tuple[Variety, ...]
    fidelity: tuple[float, ...]  # share of a prompt's pictures that show it, by the judge; empty without one
    clip_distance: tuple[float, ...]  # mean pairwise 1 - cosine of CLIP's features; empty without one
    calls: float  # network evaluations of one latent, a picture
    seconds: float  # a picture
    clip_fidelity: tuple[float, ...] = ()  # mean cosine of a prompt's pictures and the prompt, by both halves of a CLIP


@dataclass(frozen=True)
class Diversity:
    """The DIVERSITY value: settings measured on the same prompts and seeds. The first is what others are compared with."""

    prompts: tuple[str, ...] = ()
    seeds: int = 0
    settings: tuple[Measured, ...] = ()

    def with_setting(self, prompts: Sequence[str], seeds: int, setting: Measured) -> Diversity:
        if self.settings and (tuple(prompts) != self.prompts or seeds != self.seeds):
            raise ValueError("the settings of a diversity report have different prompts or seeds. Give all of them the same.")
        return Diversity(tuple(prompts), seeds, (*self.settings, setting))


@dataclass(frozen=True)
class SeedsNoise:
    """The NOISE value in which picture k of a batch has the noise of seed ``seed + k``, as if drawn alone."""

    seed: int

    def generate_noise(self, input_latent: Latent) -> Tensor:
        shape = input_latent["samples"].shape
        return torch.cat([starting_noise((1, *shape[1:]), self.seed + k) for k in range(shape[0])])


@dataclass(eq=False)
class Counter:
    """An edit that counts the rows that go through a network."""

    rows: int = 0

    @contextmanager
    def __call__(self, network: nn.Module) -> Iterator[None]:
        def count(module: nn.Module, args: tuple[Any, ...]) -> None:
            self.rows += len(args[0])

        handle = network.register_forward_pre_hook(count)
        try:
            yield
        finally:
            handle.remove()


@dataclass(frozen=True, eq=False)
class Setting:
    """How pictures are drawn."""

    name: str
    timeline: Timeline
    sampler: Sampler
    sigmas: Tensor


@dataclass(frozen=True, eq=False)
class Bench:
    """What all settings have in common. ``judge`` says by its own predictions which prompt a picture shows.

    ``clip_vision`` and ``clip_text`` are the two halves of one CLIP.
    """

    clip: Clip
    vae: Vae
    prompts: tuple[str, ...]
    negative: str = ""
    seeds: int = 8
    first_seed: int = 0
    width: int = 512
    height: int = 512
    judge: Model | None = None
    clip_vision: ClipVision | None = None
    clip_text: Clip | None = None
    progress: Callable[[int, int], None] = field(default=lambda done, total: None)

    def measure(self, setting: Setting) -> Measured:
        """Draw every prompt with every seed, a prompt at a time, and look at what came out."""
        positives, negative, said = self.clip.encode_many(list(self.prompts)), self.clip.encode(self.negative), self.said()
        counter, seconds = Counter(), 0.0
        models = {id(segment.model): segment.model.with_edit(counter) for segment in setting.timeline.segments}
        segments = tuple(replace(segment, model=models[id(segment.model)]) for segment in setting.timeline.segments)
        counted = replace(setting.timeline, segments=segments)
        images: list[Tensor] = []
        latents: list[Tensor] = []
        for k, positive in enumerate(positives):
            latent: Any = {"samples": torch.zeros(self.seeds, self.vae.channels, self.height // 8, self.width // 8)}
            began, noise = time.perf_counter(), SeedsNoise(self.first_seed)
            done, _ = sample_timeline(counted, positive, negative, noise, setting.sampler, setting.sigmas, latent)
            seconds += time.perf_counter() - began
            latents.append(done["samples"])
            images.append(self.vae.decode(done["samples"]))
            self.progress(k + 1, len(positives))
        varieties = tuple(variety(batch, vae_features(self.vae, batch)) for batch in images)
        fidelity = () if self.judge is None else tuple(judged(self.judge, latents, positives))
        seen = [] if self.clip_vision is None else [self.clip_vision.encode(batch).image_embeds for batch in images]
        distances = tuple(mean_pairwise(1 - cosine_kernel(embeds)) for embeds in seen)
        cosines = tuple(float(F.cosine_similarity(each, prompt).mean()) for each, prompt in zip(seen, said, strict=False))
        pictures = self.seeds * len(positives)
        costs = counter.rows / pictures, seconds / pictures
        return Measured(setting.name, tuple(images), varieties, fidelity, distances, *costs, cosines)

    def said(self) -> list[Tensor]:
        """The prompts' features (1, P) by CLIP's text half, to be compared with those of pictures; without both halves none.

        Their cosine is CLIPScore without its factor: Hessel et al. 2021, https://arxiv.org/abs/2104.08718, section 3.
        """
        if self.clip_text is None or self.clip_vision is None:
            return []
        said = [one[0][1]["pooled_output"].float() for one in self.clip_text.encode_many(list(self.prompts))]
        seen, told = self.clip_vision.blank().image_embeds.shape[1], said[0].shape[1]
        if seen != told:
            raise ValueError(
                f"clip_text makes {told} numbers of a prompt, clip_vision {seen} of a picture: they are not halves of one CLIP. "
                "Connect the text encoder that belongs to the image encoder."
            )
        return said


def judged(judge: Model, latents: Sequence[Tensor], prompts: Sequence[Conditioning]) -> list[float]:
    """For each prompt, the share of its pictures that the judge denoises better with it than with any other of the prompts.

    The diffusion classifier of Li et al. 2023, https://arxiv.org/abs/2303.16203, section 3.2, with the same noise for all.
    """
    errors = [torch.stack([_errors(judge, batch, prompt) for prompt in prompts]) for batch in latents]
    return [float((error.argmin(0) == k).float().mean()) for k, error in enumerate(errors)]


@torch.no_grad()
def _errors(judge: Model, latents: Tensor, prompt: Conditioning) -> Tensor:
    """(n,): how far the judge, told this prompt, is from latents it is shown under noise, in units of each level's noise."""
    network = judge.network()
    clean = judge.family.latent.inside(latents).to(next(network.parameters()).device, torch.float32)
    denoise = basic_guider(judge, prompt).start(network, clean, None, None)
    total = torch.zeros(len(clean))
    for k, percent in enumerate(JUDGED_AT):
        sigma = torch.tensor(judge.sampling.percent_to_sigma(percent))
        noise = starting_noise(clean.shape, 1000 + k).to(clean.device)
        seen = denoise(judge.sampling.noise_scaling(sigma, noise, clean), sigma)
        total += ((seen - clean) / sigma).pow(2).flatten(1).mean(1).cpu()
    return total
