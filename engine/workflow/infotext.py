"""The infotext of AUTOMATIC1111's program and its kin ("Steps: 20, Sampler: ...") -> a prompt of our nodes."""

import re
from dataclasses import dataclass, field
from typing import Any

Prompt = dict[str, Any]
PAIR = re.compile(r'\s*([A-Za-z][\w \-/]*?):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
LORA = re.compile(r"<lora:([^:<>]+)(?::(-?[\d.]+))?(?::[^<>]*)?>")
NEGATIVE = "Negative prompt:"
SAMPLERS = {
    "euler a": "euler_ancestral", "euler": "euler", "lms": "lms", "heun": "heun", "dpm2": "dpm_2", "dpm2 a": "dpm_2_ancestral",
    "dpm++ 2s a": "dpmpp_2s_ancestral", "dpm++ 2m": "dpmpp_2m", "dpm++ sde": "dpmpp_sde", "dpm++ 2m sde": "dpmpp_2m_sde",
    "dpm++ 2m sde heun": "dpmpp_2m_sde_heun", "dpm++ 3m sde": "dpmpp_3m_sde", "dpm fast": "dpm_fast",
    "dpm adaptive": "dpm_adaptive",
    "ddim": "ddim", "plms": "lms", "unipc": "uni_pc", "lcm": "lcm", "ddpm": "ddpm", "deis": "deis", "ipndm": "ipndm",
    "restart": "euler",
}  # fmt: skip
SCHEDULERS = {
    "karras": "karras", "exponential": "exponential", "sgm uniform": "sgm_uniform", "simple": "simple", "normal": "normal",
    "ddim": "ddim_uniform", "beta": "beta", "kl optimal": "kl_optimal", "uniform": "normal", "automatic": "normal",
}  # fmt: skip


@dataclass
class Infotext:
    """What the text says; ``settings`` by lower-case name."""

    positive: str
    negative: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    loras: list[tuple[str, float]] = field(default_factory=list)

    def number(self, name: str, default: float) -> float:
        try:
            return float(self.settings.get(name, ""))
        except ValueError:
            return default


def is_infotext(text: Any) -> bool:
    return isinstance(text, str) and re.search(r"(^|\n|, )Steps: \d+,", text) is not None


def parse(text: str) -> Infotext:
    """Prompt, negative prompt, and the settings of the last line."""
    lines = text.strip().split("\n")
    at = next((i for i in range(len(lines) - 1, -1, -1) if re.match(r"\s*Steps: \d+", lines[i])), len(lines))
    pairs = {key.strip().lower(): value.strip().strip('"') for key, value in PAIR.findall(", ".join(lines[at:]))}
    positive, _, negative = "\n".join(lines[:at]).partition(NEGATIVE)
    loras = [(name.strip(), weight(strength)) for name, strength in LORA.findall(positive)]
    return Infotext(LORA.sub("", positive).strip(), negative.strip(), pairs, loras)


def weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 1.0


def sampler_of(found: Infotext) -> tuple[str, str]:
    """Our names for the sampler and its schedule; older texts name both in one ("DPM++ 2M Karras")."""
    name = found.settings.get("sampler", "Euler").lower()
    schedule = found.settings.get("schedule type", "").lower()
    for word in SCHEDULERS:
        if not schedule and name.endswith(f" {word}"):
            name, schedule = name.removesuffix(f" {word}"), word
    return SAMPLERS.get(name, "euler"), SCHEDULERS.get(schedule, "normal")


def to_prompt(text: str) -> Prompt:
    """A checkpoint, its LoRAs, the two texts, a latent, a sampler (two with hires fix), a picture."""
    found = parse(text)
    settings = found.settings
    nodes: Prompt = {}

    def add(kind: str, title: str = "", **inputs: Any) -> str:
        key = str(len(nodes) + 1)
        nodes[key] = {"class_type": kind, "inputs": inputs, "_meta": {"title": title or kind}}
        return key

    loader = add("CheckpointLoaderSimple", "Checkpoint", ckpt_name=f"{settings.get('model', 'model')}.safetensors")
    model, clip = [loader, 0], [loader, 1]
    for name, strength in found.loras:
        lora = add(
            "LoraLoader", name, model=model, clip=clip, lora_name=f"{name}.safetensors", strength_model=strength,
            strength_clip=strength,
        )  # fmt: skip
        model, clip = [lora, 0], [lora, 1]
    if (skip := int(found.number("clip skip", 1))) > 1:
        clip = [add("CLIPSetLastLayer", "Clip skip", clip=clip, stop_at_clip_layer=-skip), 0]
    positive = add("CLIPTextEncode", "Positive", text=found.positive, clip=clip)
    negative = add("CLIPTextEncode", "Negative", text=found.negative, clip=clip)
    width, height = size_of(settings.get("size", ""))
    latent = add("EmptyLatentImage", "Size", width=width, height=height, batch_size=1)
    sampler, scheduler = sampler_of(found)
    steps = int(found.number("steps", 20))
    common = {
        "seed": int(found.number("seed", 0)) % 2**64, "cfg": found.number("cfg scale", 7.0), "sampler_name": sampler,
        "scheduler": scheduler, "model": model, "positive": [positive, 0], "negative": [negative, 0],
    }  # fmt: skip
    sampled = add("KSampler", "Sampler", **common, steps=steps, denoise=1.0, latent_image=[latent, 0])
    if (scale := found.number("hires upscale", 0)) > 0:
        larger = add("LatentUpscaleBy", "Hires upscale", samples=[sampled, 0], upscale_method="bilinear", scale_by=scale)
        more = int(found.number("hires steps", steps)) or steps
        denoise = found.number("denoising strength", 0.7)
        sampled = add("KSampler", "Hires sampler", **common, steps=more, denoise=denoise, latent_image=[larger, 0])
    decoded = add("VAEDecode", "Decode", samples=[sampled, 0], vae=[loader, 2])
    add("SaveImage", "Save", images=[decoded, 0], filename_prefix="ComfyUI")
    return nodes


def size_of(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*(\d{1,5})\s*x\s*(\d{1,5})\s*", text)
    return (int(found[1]), int(found[2])) if found else (512, 512)
