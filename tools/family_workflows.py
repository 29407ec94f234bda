"""Write a workflow for each model family into workflows/families, from the few lines below that say what is particular to it.

    python tools/family_workflows.py

Each names the files its family is published in, and a note says where they go. Tests run every one on tiny models of its family.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import family_workflows_sdxl as xl  # noqa: E402
from tools.family_prompt import PICTURE, Prompt, checkpoint, instructed  # noqa: E402


def sd1_inpaint() -> Prompt:
    p = Prompt(
        "Inpainting model",
        "A model with nine input channels sees the hole and what surrounds it, so a whole new thing fits in (denoise 1). Put "
        "`sd-v1-5-inpainting.ckpt` into models/checkpoints; the inpainting forms of SD 2 and SDXL work the same.\n\n"
        "*Differential Diffusion* lets the soft edge of the mask join late: no seam.",
    )
    model, clip, vae = checkpoint(p, "sd-v1-5-inpainting.ckpt")
    positive, negative = p.text(clip, "a vase of sunflowers on a table", "blurry, text")
    picture = p.add("LoadImage", image=PICTURE)
    whole = p.add("SolidMask", "Everything", value=0.0, width=512, height=512)
    hole = p.add("FeatherMask", mask=[p.add("SolidMask", "The hole", value=1.0, width=256, height=256), 0],
                 left=32, top=32, right=32, bottom=32)  # fmt: skip
    mask = p.add("MaskComposite", destination=[whole, 0], source=[hole, 0], x=128, y=128, operation="add")
    told = p.add("InpaintModelConditioning", positive=positive, negative=negative, vae=vae, pixels=[picture, 0], mask=[mask, 0],
                 noise_mask=True)  # fmt: skip
    soft = p.add("DifferentialDiffusion", model=model)
    p.save(p.sample([soft, 0], [told, 0], [told, 1], [told, 2], cfg=7.0), vae, "sd1-inpaint-model")
    return p


def sd1_instruct() -> Prompt:
    p = Prompt(
        "Instructions: InstructPix2Pix",
        "The prompt says what to change. Two scales: how much it obeys the words (*cfg_conds*) and how much it keeps the picture "
        "(*cfg_cond2_negative*). Put `instruct-pix2pix-00-22000.safetensors` into models/checkpoints.",
    )
    return instructed(p, "instruct-pix2pix-00-22000.safetensors", "make it winter", 7.5, "sd1-instruct-pix2pix")


def sd1_velocity() -> Prompt:
    p = Prompt(
        "Velocity on SD 1: EasyFluff, HLL",
        "These predict velocity with zero terminal SNR, and nothing in the file says so. Either put the published `.yaml` "
        "beside the file (then leave *ModelSamplingDiscrete* out) or set it here. *RescaleCFG* keeps colours from burning.",
    )
    model, clip, vae = checkpoint(p, "EasyFluffV11.2.safetensors")
    velocity = p.add("ModelSamplingDiscrete", model=model, sampling="v_prediction", zsnr=True)
    rescaled = p.add("RescaleCFG", model=[velocity, 0], multiplier=0.7)
    skipped = p.add("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-2)
    positive, negative = p.text([skipped, 0], "a red fox in the snow, detailed fur", "low quality")
    p.save(p.sample([rescaled, 0], positive, negative, p.blank(512, 512), cfg=7.0), vae, "sd1-v-prediction")
    return p


def sd1_lcm() -> Prompt:
    p = Prompt(
        "Few steps: LCM LoRA",
        "The LoRA makes any SD 1 model draw in 4 to 8 steps: sampler *lcm*, scheduler *sgm_uniform*, cfg 1 to 2. Put "
        "`lcm-lora-sdv1-5.safetensors` into models/loras. The folder above has workflows that give variety back to such models.",
    )
    model, clip, vae = checkpoint(p, "v1-5-pruned-emaonly.safetensors")
    fast = p.add("LoraLoaderModelOnly", model=model, lora_name="lcm-lora-sdv1-5.safetensors", strength_model=1.0)
    positive, negative = p.text(clip, "a lighthouse at dusk, oil painting", "")
    more = {"steps": 6, "cfg": 1.5, "sampler_name": "lcm", "scheduler": "sgm_uniform"}
    p.save(p.sample([fast, 0], positive, negative, p.blank(512, 512), **more), vae, "sd1-lcm-lora")
    return p


def sd1_lcm_full() -> Prompt:
    p = Prompt(
        "Few steps: a full LCM network",
        "Its guidance is an input of the network, so cfg stays 1. *ModelSamplingDiscrete* set to lcm with the scheduler *simple* "
        "gives LCM's own timesteps: 999, 759, 499, 259. Put the folder `LCM_Dreamshaper_v7` as it is published into "
        "models/diffusers.",
    )
    key = p.add("DiffusersLoader", model_path="LCM_Dreamshaper_v7")
    few = p.add("ModelSamplingDiscrete", model=[key, 0], sampling="lcm", zsnr=False)
    positive, negative = p.text([key, 1], "a harbour at dawn, watercolour", "")
    more = {"steps": 4, "cfg": 1.0, "sampler_name": "lcm", "scheduler": "simple"}
    p.save(p.sample([few, 0], positive, negative, p.blank(512, 512), **more), [key, 2], "sd1-lcm")
    return p


def sd2() -> Prompt:
    p = Prompt(
        "Stable Diffusion 2.1",
        "768 x 768; the file itself tells whether it predicts noise or velocity. Put `v2-1_768-ema-pruned.safetensors` into "
        "models/checkpoints.",
    )
    model, clip, vae = checkpoint(p, "v2-1_768-ema-pruned.safetensors")
    positive, negative = p.text(clip, "a glass greenhouse in fog, photograph", "drawing, text")
    p.save(p.sample(model, positive, negative, p.blank(768, 768), cfg=7.0), vae, "sd2")
    return p


def sd2_unclip() -> Prompt:
    p = Prompt(
        "Pictures as prompts: unCLIP",
        "What the picture shows joins the prompt; *noise_augmentation* lets the result stray from it. Chain "
        "*unCLIPConditioning* for several pictures. Put `sd21-unclip-h.ckpt` into models/checkpoints: it has the image encoder.",
    )
    key = p.add("unCLIPCheckpointLoader", ckpt_name="sd21-unclip-h.ckpt")
    model, clip, vae, eye = ([key, i] for i in range(4))
    positive, negative = p.text(clip, "at night", "blurry")
    seen = p.add("CLIPVisionEncode", clip_vision=eye, image=[p.add("LoadImage", image=PICTURE), 0], crop="center")
    told = p.add("unCLIPConditioning", conditioning=positive, clip_vision_output=[seen, 0], strength=1.0, noise_augmentation=0.1)
    p.save(p.sample(model, [told, 0], negative, p.blank(768, 768), cfg=7.0), vae, "sd2-unclip")
    return p


def x4_upscaler() -> Prompt:
    p = Prompt(
        "Four times as large: the Stable Diffusion x4 upscaler",
        "A small picture, drawn anew with four times its width and height; the prompt says what is in it, and "
        "*noise_augmentation* lets the model invent more. Put `x4-upscaler-ema.safetensors` into models/checkpoints. "
        "It was trained on 128 x 128 pixels. For larger pictures use *VAE Decode (Tiled)*.",
    )
    model, clip, vae = checkpoint(p, "x4-upscaler-ema.safetensors")
    positive, negative = p.text(clip, "a lighthouse, sharp photograph", "blurry, compressed")
    small = p.add("ImageScale", "A small picture", image=[p.add("LoadImage", image=PICTURE), 0], upscale_method="area", width=128,
                  height=128, crop="center")  # fmt: skip
    told = p.add("SD_4XUpscale_Conditioning", images=[small, 0], positive=positive, negative=negative, scale_ratio=4.0,
                 noise_augmentation=0.06)  # fmt: skip
    p.save(p.sample(model, [told, 0], [told, 1], [told, 2], cfg=9.0), vae, "sd-x4-upscaler")
    return p


def svd() -> Prompt:
    p = Prompt(
        "A film from a picture: Stable Video Diffusion",
        "Put `svd.safetensors` (14 frames) or `svd_xt.safetensors` (25) into models/checkpoints. *motion_bucket_id* moves "
        "more or less; *augmentation_level* strays from the picture. The guidance rises over the frames.",
    )
    key = p.add("ImageOnlyCheckpointLoader", ckpt_name="svd.safetensors")
    picture = p.add("LoadImage", image=PICTURE)
    told = p.add("SVD_img2vid_Conditioning", clip_vision=[key, 1], init_image=[picture, 0], vae=[key, 2], width=1024, height=576,
                 video_frames=14, motion_bucket_id=127, fps=6, augmentation_level=0.0)  # fmt: skip
    guided = p.add("VideoLinearCFGGuidance", model=[key, 0], min_cfg=1.0)
    film = p.sample([guided, 0], [told, 0], [told, 1], [told, 2], steps=20, cfg=2.5, scheduler="karras")
    frames = p.add("VAEDecode", samples=film, vae=[key, 2])
    p.add("SaveAnimatedWEBP", images=[frames, 0], filename_prefix="svd", fps=6.0, lossless=False, quality=85, method="default")
    return p


def zero123() -> Prompt:
    p = Prompt(
        "An object from other sides: Stable Zero123",
        "A picture of one thing on white; the camera goes around it in steps. Put `stable_zero123.ckpt` into models/checkpoints.",
    )
    key = p.add("ImageOnlyCheckpointLoader", ckpt_name="stable_zero123.ckpt")
    told = p.add("StableZero123_Conditioning_Batched", clip_vision=[key, 1],
                 init_image=[p.add("LoadImage", image=PICTURE), 0], vae=[key, 2], width=256, height=256, batch_size=4,
                 elevation=10.0, azimuth=0.0, elevation_batch_increment=0.0, azimuth_batch_increment=45.0)  # fmt: skip
    p.save(p.sample([key, 0], [told, 0], [told, 1], [told, 2], steps=20, cfg=4.0), [key, 2], "stable-zero123")
    return p


def sv3d() -> Prompt:
    p = Prompt(
        "A turn around an object: Stable Video 3D",
        "A picture of one thing on white; the last frame is its own side. `sv3d_p.safetensors` looks from any height "
        "(*elevation*), `sv3d_u.safetensors` from the picture's. Put either into models/checkpoints. Guidance rises, then falls.",
    )
    key = p.add("ImageOnlyCheckpointLoader", ckpt_name="sv3d_p.safetensors")
    told = p.add("SV3D_Conditioning", clip_vision=[key, 1], init_image=[p.add("LoadImage", image=PICTURE), 0], vae=[key, 2],
                 width=576, height=576, video_frames=21, elevation=10.0)  # fmt: skip
    guided = p.add("VideoTriangleCFGGuidance", model=[key, 0], min_cfg=1.0)
    film = p.sample([guided, 0], [told, 0], [told, 1], [told, 2], steps=50, cfg=2.5, scheduler="karras")
    frames = p.add("VAEDecode", samples=film, vae=[key, 2])
    p.add("SaveAnimatedWEBP", images=[frames, 0], filename_prefix="sv3d", fps=8.0, lossless=False, quality=85, method="default")
    return p


WORKFLOWS = {
    "sd1-inpaint-model": sd1_inpaint,
    "sd1-instruct-pix2pix": sd1_instruct,
    "sd1-v-prediction": sd1_velocity,
    "sd1-lcm-lora": sd1_lcm,
    "sd1-lcm": sd1_lcm_full,
    "sd2": sd2,
    "sd2-unclip": sd2_unclip,
    "sd-x4-upscaler": x4_upscaler,
    "sdxl-refiner": xl.sdxl_refiner,
    "sdxl-v-prediction": xl.sdxl_velocity,
    "sdxl-playground": xl.sdxl_playground,
    "sdxl-cosxl-edit": xl.sdxl_cosxl,
    "sdxl-ssd-1b": xl.sdxl_ssd,
    "sdxl-lightning": xl.sdxl_lightning,
    "sdxl-turbo": xl.sdxl_turbo,
    "sdxl-dmd2": xl.sdxl_dmd2,
    "sdxl-hyper": xl.sdxl_hyper,
    "sdxl-gguf": xl.sdxl_gguf,
    "sdxl-fooocus-inpaint": xl.sdxl_fooocus,
    "svd-image-to-video": svd,
    "stable-zero123": zero123,
    "sv3d-orbit": sv3d,
}


def written(prompt: Prompt, definitions: Any) -> dict[str, Any]:
    """In the editor's format, laid out, with its note under the graph."""
    from engine.workflow.layout import to_ui

    workflow = to_ui(prompt.nodes, definitions)
    bottom = max(node["pos"][1] + node["size"][1] for node in workflow["nodes"])
    left = min(node["pos"][0] for node in workflow["nodes"])
    number = workflow["last_node_id"] = workflow["last_node_id"] + 1
    note = {
        "id": number, "type": "MarkdownNote", "pos": [left, bottom + 60], "size": [620, 190], "flags": {},
        "order": len(workflow["nodes"]), "mode": 0, "inputs": [], "outputs": [], "title": prompt.title, "properties": {},
        "widgets_values": [prompt.note],
    }  # fmt: skip
    workflow["nodes"].append(note)
    return workflow


def main() -> None:
    from engine.folders import Folders
    from engine.registry import load
    from engine.workflow.definitions import describe_all

    definitions = describe_all(load().specs, Folders())
    folder = ROOT / "workflows" / "families"
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in WORKFLOWS.items():
        text = json.dumps(written(make(), definitions), indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
