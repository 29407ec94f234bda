"""Write the workflows that show a technique, into workflows/ and workflows/your-models, from what is particular to each.

    python tools/technique_workflows.py

Those in workflows/ draw with the model that ships; the others name the files they want. Tests run or check every one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.family_prompt import PICTURE, Link, Prompt, checkpoint  # noqa: E402
from tools.family_workflows import written  # noqa: E402

DEMO, FEW_STEPS = "loom-demo.safetensors", "loom-demo-lcm.safetensors"
USUAL = {"seed": 1, "steps": 20, "cfg": 4.0, "sampler_name": "dpmpp_2m", "scheduler": "karras"}
NEVER = 2  # a node's mode in the editor's format: muted


def demo(p: Prompt, words: str, negative: str = "") -> tuple[Link, Link, Link, Link]:
    """Model, VAE, prompt and negative of the model that ships."""
    model, clip, vae = checkpoint(p, DEMO)
    return model, vae, *p.text(clip, words, negative)


def faster_attention() -> Prompt:
    p = Prompt(
        "Large pictures: faster, and with one subject",
        "All three are for pictures larger than the model was made for; here 256 x 256 by a model of 128.\n\n"
        "*HyperTile* attends within tiles, *Token Merging* merges places that look alike: both save the time that attention "
        "takes, which is little here and half of it at 2048. *Deep Shrink* works on a smaller picture inside the network during "
        "the first steps, so that there is one subject in place of four.",
    )
    model, vae, positive, negative = demo(p, "a penguin in the snow")
    latent = p.blank(256, 256)
    tiled = p.add("HyperTile", model=model, tile_size=128, swap_size=2, max_depth=0, scale_depth=False)
    merged = p.add("TomePatchModel", model=model, ratio=0.3)
    shrunk = p.add(
        "PatchModelAddDownscale", model=model, block_number=3, downscale_factor=2.0, start_percent=0.0, end_percent=0.35,
        downscale_after_skip=True, downscale_method="bicubic", upscale_method="bicubic",
    )  # fmt: skip
    ways = {"plain": model, "hypertile": [tiled, 0], "token-merging": [merged, 0], "deep-shrink": [shrunk, 0]}
    for name, patched in ways.items():
        p.save(p.sample(patched, positive, negative, latent, **USUAL), vae, f"faster-attention-{name}")
    return p


def negative_prompts() -> Prompt:
    p = Prompt(
        "What a negative prompt can do",
        "An umbrella, but not a red one. Plain guidance pushes away from umbrellas as well; *Perp-Neg* only from what the "
        "negative prompt does not share with the positive one. *Dual CFG* goes by a second prompt, then with a scale of its own "
        "from that to the first. *Skimmed CFG* lets a scale of 12 follow the words without burning the colours.",
    )
    model, clip, vae = checkpoint(p, DEMO)
    positive, negative = p.text(clip, "an umbrella on the beach", "a red umbrella")
    second = [p.add("CLIPTextEncode", "Second prompt", clip=clip, text="a purple umbrella at sunset"), 0]
    nothing = [p.add("CLIPTextEncode", "Empty", clip=clip, text=""), 0]
    skimmed = p.add("SkimmedCFG", model=model, skimming_cfg=4.0, full_skim_negative=False)
    guiders = {
        "plain": p.add("CFGGuider", model=model, positive=positive, negative=negative, cfg=4.0),
        "perp-neg": p.add("PerpNegGuider", model=model, positive=positive, negative=negative, empty_conditioning=nothing, cfg=4.0,
                          neg_scale=1.0),
        "dual": p.add("DualCFGGuider", model=model, cond1=positive, cond2=second, negative=negative, cfg_conds=2.0,
                      cfg_cond2_negative=4.5, style="regular"),
        "skimmed": p.add("CFGGuider", model=[skimmed, 0], positive=positive, negative=negative, cfg=12.0),
    }  # fmt: skip
    latent, noise = p.blank(128, 128), [p.add("RandomNoise", noise_seed=3), 0]
    sampler = [p.add("KSamplerSelect", sampler_name="dpmpp_2m"), 0]
    sigmas = [p.add("BasicScheduler", model=model, scheduler="karras", steps=20, denoise=1.0), 0]
    for name, guider in guiders.items():
        p.save(p.custom([guider, 0], latent, noise, sampler, sigmas), vae, f"negative-prompts-{name}")
    return p


def timeline() -> Prompt:
    p = Prompt(
        "One timeline",
        "What changes with the noise level, in one line: here the scale falls from 6 to 2 during the composition, then stays at "
        "3 while a little detail is added (*detail*: the network is told of less noise than there is), and the LoRA joins in "
        "for the end. *start* is in percent of the model's schedule, a sigma, or a step. In percent and in sigma a change of the "
        "number of steps changes nothing about what is where: the drawing shows it.",
    )
    model, vae, positive, negative = demo(p, "a castle at sunset")
    first = p.add("TimelineSegment", "Composition", model=model, cfg=6.0, start=0.0, unit="percent", cfg_end=2.0, renoise=0.0,
                  detail=0.0)  # fmt: skip
    second = p.add("TimelineSegment", "Detail", model=model, cfg=3.0, start=0.35, unit="percent", cfg_end=0.0, renoise=0.0,
                   detail=0.03, timeline=[first, 0])  # fmt: skip
    line = p.add("TimelineLora", "The end", timeline=[second, 0], lora_name=FEW_STEPS, strengths="0@0.5, 0.4@0.7", unit="percent")
    sigmas = [p.add("BasicScheduler", model=model, scheduler="karras", steps=12, denoise=1.0), 0]
    drawn = p.add("TimelineDrawing", timeline=[line, 0], sigmas=sigmas)
    p.add("PreviewImage", images=[drawn, 0])
    sampled = p.add(
        "SampleTimeline", timeline=[line, 0], positive=positive, negative=negative, noise=[p.add("RandomNoise", noise_seed=1), 0],
        sampler=[p.add("KSamplerSelect", sampler_name="dpmpp_2m"), 0], sigmas=sigmas, latent_image=p.blank(128, 128),
    )  # fmt: skip
    p.save([sampled, 0], vae, "timeline")
    return p


def variations() -> Prompt:
    p = Prompt(
        "Variations of one picture",
        "Three ways to a near relative of a picture. *Variation Noise* moves a seed's noise towards another seed's. *Seed "
        "Variance* puts noise on the prompt's embedding while the composition forms. *CADS* begins with noise in place of the "
        "prompt. Raise each strength to go further away.",
    )
    model, vae, positive, negative = demo(p, "a mushroom on the grass")
    varied = [p.add("SeedVariance", conditioning=positive, strength=0.6, share=0.5, end_percent=0.3, seed=5, batch_size=1), 0]
    annealed = [p.add("CADS", conditioning=positive, noise_scale=0.2, t1=0.6, t2=0.9, rescale=0.0, seed=5, batch_size=1), 0]
    latent, noise = p.blank(128, 128), [p.add("RandomNoise", noise_seed=1), 0]
    other = [p.add("VariationNoise", noise_seed=1, variation_seed=2, strength=0.3), 0]
    sampler = [p.add("KSamplerSelect", sampler_name="dpmpp_2m"), 0]
    sigmas = [p.add("BasicScheduler", model=model, scheduler="karras", steps=20, denoise=1.0), 0]
    for name, words, start in (("plain", positive, noise), ("noise", positive, other), ("seed-variance", varied, noise),
                               ("cads", annealed, noise)):  # fmt: skip
        guider = p.add("CFGGuider", model=model, positive=words, negative=negative, cfg=4.0)
        p.save(p.custom([guider, 0], latent, start, sampler, sigmas), vae, f"variations-{name}")
    return p


def merge_blocks() -> Prompt:
    p = Prompt(
        "Merging models",
        "A merge is a model like any other: nothing is written, and one can draw with it at once. Here the way up comes from "
        "the model with its LoRA worked in, the rest from the model alone. *Merge Models (Method)* has add difference, train "
        "difference, DARE, TIES and the like, *ModelMergeSD1* and its kin a ratio a block.\n\n"
        "Unmute *Save Checkpoint* (Ctrl+M) to keep the result, with its metadata. Large files are merged faster, in a third of "
        "a file's memory, by `python main.py models merge`.",
    )
    model, clip, vae = checkpoint(p, DEMO)
    positive, negative = p.text(clip, "a purple umbrella on the beach", "")
    tuned = p.add("LoraLoaderModelOnly", model=model, lora_name=FEW_STEPS, strength_model=1.0)
    merged = [p.add("ModelMergeBlocks", model1=model, model2=[tuned, 0], input=1.0, middle=1.0, out=0.6), 0]
    p.save(p.sample(merged, positive, negative, p.blank(128, 128), **(USUAL | {"cfg": 3.0})), vae, "merge-blocks")
    p.add("CheckpointSave", model=merged, clip=clip, vae=vae, filename_prefix="checkpoints/merged")
    return p


def merge_checkpoints() -> Prompt:
    p = Prompt(
        "Merge two checkpoints and save the result",
        "Add difference: what a tuned model learned (B - C) is added to A, C being what B was tuned from. Text encoders are "
        "merged by halves. The saved file has a recipe and hashes in its metadata. Name your own files in the three loaders.",
    )
    model, clip, vae = checkpoint(p, "v1-5-pruned-emaonly.safetensors")
    tuned, words, _ = checkpoint(p, "tuned.safetensors")
    ancestor, _, _ = checkpoint(p, "ancestor.safetensors")
    merged = [p.add("ModelMergeMethod", model_a=model, model_b=tuned, model_c=ancestor, method="add difference", alpha=0.7,
                    beta=0.5, seed=0, blocks=""), 0]  # fmt: skip
    text = [p.add("CLIPMergeSimple", clip1=clip, clip2=words, ratio=0.5), 0]
    positive, negative = p.text(text, "a lighthouse at dusk, oil painting", "blurry")
    p.save(p.sample(merged, positive, negative, p.blank(512, 512), **(USUAL | {"cfg": 7.0})), vae, "merge-checkpoints")
    p.add("CheckpointSave", model=merged, clip=text, vae=vae, filename_prefix="checkpoints/merged")
    return p


def extract_lora() -> Prompt:
    p = Prompt(
        "A LoRA out of two checkpoints",
        "What a tuned checkpoint has over the one it was tuned from, as a small file: the difference of the two, cut to the "
        "*rank* largest directions. Rank 32 to 64 keeps most of a style. Name your own files in the loaders.",
    )
    tuned, words, _ = checkpoint(p, "tuned.safetensors")
    ancestor, clip, _ = checkpoint(p, "ancestor.safetensors")
    model = [p.add("ModelMergeSubtract", model1=tuned, model2=ancestor, multiplier=1.0), 0]
    text = [p.add("CLIPMergeSubtract", clip1=words, clip2=clip, multiplier=1.0), 0]
    p.add("LoraSave", model_diff=model, text_encoder_diff=text, filename_prefix="loras/extracted", rank=32, lora_type="standard",
          bias_diff=True)  # fmt: skip
    return p


def upscale_model() -> Prompt:
    p = Prompt(
        "Enlarge with a model, then draw over",
        "An ESRGAN-like model enlarges the picture four times, tile by tile; scaled to twice its size, it is drawn over at "
        "denoise 0.35. Put `RealESRGAN_x4plus.pth` or another into models/upscale_models and your checkpoint into "
        "models/checkpoints. The tiled VAE keeps memory low.",
    )
    model, clip, vae = checkpoint(p, "v1-5-pruned-emaonly.safetensors")
    positive, negative = p.text(clip, "a lighthouse at dusk, oil painting", "blurry")
    picture = [p.add("LoadImage", image=PICTURE), 0]
    upscaler = [p.add("UpscaleModelLoader", model_name="RealESRGAN_x4plus.pth"), 0]
    large = [p.add("ImageUpscaleWithModel", upscale_model=upscaler, image=picture), 0]
    fitting = [p.add("ImageScaleBy", image=large, upscale_method="area", scale_by=0.5), 0]
    tiles = {"tile_size": 512, "overlap": 64, "temporal_size": 64, "temporal_overlap": 8}
    latent = [p.add("VAEEncodeTiled", pixels=fitting, vae=vae, **tiles), 0]
    drawn = p.sample(model, positive, negative, latent, **(USUAL | {"cfg": 6.0, "denoise": 0.35}))
    decoded = p.add("VAEDecodeTiled", samples=drawn, vae=vae, **tiles)
    p.add("SaveImage", images=[decoded, 0], filename_prefix="upscale-model")
    return p


def adapter() -> Prompt:
    p = Prompt(
        "T2I-Adapter",
        "Smaller than a ControlNet, and it runs once a picture, not once a step. Load it as a ControlNet; here by a sketch. "
        "Put `t2iadapter_sketch_sd15v2.pth` into models/controlnet.",
    )
    model, clip, vae = checkpoint(p, "v1-5-pruned-emaonly.safetensors")
    positive, negative = p.text(clip, "a paper boat on a pond", "blurry")
    hint = p.add("Canny", image=[p.add("LoadImage", image=PICTURE), 0], low_threshold=0.2, high_threshold=0.5)
    net = p.add("ControlNetLoader", control_net_name="t2iadapter_sketch_sd15v2.pth")
    told = p.add("ControlNetApplyAdvanced", positive=positive, negative=negative, control_net=[net, 0], image=[hint, 0],
                 strength=0.9, start_percent=0.0, end_percent=0.7, vae=vae)  # fmt: skip
    p.save(p.sample(model, [told, 0], [told, 1], p.blank(512, 512), cfg=7.0), vae, "t2i-adapter")
    return p


SHIPPED = {
    "faster-attention": faster_attention,
    "negative-prompts": negative_prompts,
    "timeline": timeline,
    "variations": variations,
    "merge-blocks": merge_blocks,
}
YOUR_MODELS = {
    "merge-checkpoints": merge_checkpoints,
    "extract-lora": extract_lora,
    "upscale-model": upscale_model,
    "t2i-adapter": adapter,
}


def laid_out(definitions: Any) -> dict[str, dict[str, Any]]:
    """Every workflow by its path below workflows/, in the editor's format; those that draw write a model file only unmuted."""
    made = {name: written(make(), definitions) for name, make in SHIPPED.items()}
    for workflow in made.values():
        for node in workflow["nodes"]:
            node["mode"] = NEVER if node["type"] == "CheckpointSave" else node["mode"]
    return made | {f"your-models/{name}": written(make(), definitions) for name, make in YOUR_MODELS.items()}


def main() -> None:
    from engine.folders import Folders
    from engine.registry import load
    from engine.workflow.definitions import describe_all

    for name, workflow in laid_out(describe_all(load().specs, Folders())).items():
        text = json.dumps(workflow, indent=1, ensure_ascii=False)
        (ROOT / "workflows" / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
