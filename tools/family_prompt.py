"""A graph written node by node, and what the shipped workflows have in common."""

from __future__ import annotations

from typing import Any

Link = list[Any]
PICTURE = "example.png"


class Prompt:
    """A graph in the API format, written node by node."""

    def __init__(self, title: str, note: str) -> None:
        self.title, self.note = title, note
        self.nodes: dict[str, dict[str, Any]] = {}

    def add(self, kind: str, title: str = "", **inputs: Any) -> str:
        """A node; its id."""
        key = str(len(self.nodes) + 1)
        self.nodes[key] = {"class_type": kind, "inputs": inputs, **({"_meta": {"title": title}} if title else {})}
        return key

    def text(self, clip: Link, positive: str, negative: str) -> tuple[Link, Link]:
        ours, theirs = (
            self.add("CLIPTextEncode", "Prompt", clip=clip, text=positive),
            self.add("CLIPTextEncode", "Negative", clip=clip, text=negative),
        )
        return [ours, 0], [theirs, 0]

    def sample(self, model: Link, positive: Link, negative: Link, latent: Link, **more: Any) -> Link:
        usual = {"seed": 1, "steps": 25, "cfg": 5.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
        return [self.add("KSampler", model=model, positive=positive, negative=negative, latent_image=latent, **(usual | more)), 0]

    def sample_at(self, timesteps: str, model: Link, positive: Link, negative: Link, latent: Link, sampler: str) -> Link:
        """A distilled network at the very timesteps it was trained for, without guidance."""
        levels = self.add("TimestepsToSigmas", model=model, timesteps=timesteps)
        chosen = self.add("KSamplerSelect", sampler_name=sampler)
        key = self.add("SamplerCustom", model=model, add_noise=True, noise_seed=1, cfg=1.0, positive=positive, negative=negative,
                       sampler=[chosen, 0], sigmas=[levels, 0], latent_image=latent)  # fmt: skip
        return [key, 0]

    def custom(self, guider: Link, latent: Link, noise: Link, sampler: Link, sigmas: Link) -> Link:
        key = self.add("SamplerCustomAdvanced", noise=noise, guider=guider, sampler=sampler, sigmas=sigmas, latent_image=latent)
        return [key, 0]

    def save(self, latent: Link, vae: Link, name: str) -> None:
        self.add("SaveImage", images=[self.add("VAEDecode", samples=latent, vae=vae), 0], filename_prefix=name)

    def blank(self, width: int, height: int) -> Link:
        return [self.add("EmptyLatentImage", width=width, height=height, batch_size=1), 0]


def checkpoint(p: Prompt, name: str) -> tuple[Link, Link, Link]:
    key = p.add("CheckpointLoaderSimple", ckpt_name=name)
    return [key, 0], [key, 1], [key, 2]


def instructed(p: Prompt, file: str, words: str, cfg: float, name: str) -> Prompt:
    """The whole graph for a model that edits a picture by instruction, with the two scales of its authors."""
    model, clip, vae = checkpoint(p, file)
    positive, negative = p.text(clip, words, "")
    picture = p.add("LoadImage", image=PICTURE)
    told = p.add("InstructPixToPixConditioning", positive=positive, negative=negative, vae=vae, pixels=[picture, 0])
    guider = p.add("DualCFGGuider", model=model, cond1=[told, 0], cond2=[told, 1], negative=negative, cfg_conds=cfg,
                   cfg_cond2_negative=1.5, style="regular")  # fmt: skip
    noise, sampler = [p.add("RandomNoise", noise_seed=1), 0], [p.add("KSamplerSelect", sampler_name="euler"), 0]
    sigmas = [p.add("BasicScheduler", model=model, scheduler="normal", steps=20, denoise=1.0), 0]
    p.save(p.custom([guider, 0], [told, 2], noise, sampler, sigmas), vae, name)
    return p
