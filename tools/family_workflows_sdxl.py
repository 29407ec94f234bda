"""The workflows of SDXL's kin, for ``tools/family_workflows.py``."""

from __future__ import annotations

from tools.family_prompt import PICTURE, Prompt, checkpoint, instructed


def sdxl_refiner() -> Prompt:
    p = Prompt(
        "SDXL with its refiner",
        "The base draws four fifths of the run, the refiner finishes it on the same schedule. Put "
        "`sd_xl_base_1.0.safetensors` and `sd_xl_refiner_1.0.safetensors` into models/checkpoints.",
    )
    model, clip, vae = checkpoint(p, "sd_xl_base_1.0.safetensors")
    finer, words, _ = checkpoint(p, "sd_xl_refiner_1.0.safetensors")
    positive, negative = p.text(clip, "a stone bridge over a mountain river, autumn", "drawing, text")
    good = p.add("CLIPTextEncodeSDXLRefiner", "Prompt", ascore=6.0, width=1024, height=1024, clip=words,
                 text="a stone bridge over a mountain river, autumn")  # fmt: skip
    bad = p.add("CLIPTextEncodeSDXLRefiner", "Negative", ascore=2.5, width=1024, height=1024, clip=words, text="drawing, text")
    usual = {"noise_seed": 1, "steps": 25, "cfg": 6.0, "sampler_name": "euler", "scheduler": "normal"}
    begun = p.add("KSamplerAdvanced", model=model, positive=positive, negative=negative, latent_image=p.blank(1024, 1024),
                  add_noise="enable", start_at_step=0, end_at_step=20, return_with_leftover_noise="enable", **usual)  # fmt: skip
    rest = {"add_noise": "disable", "start_at_step": 20, "end_at_step": 10000, "return_with_leftover_noise": "disable", **usual}
    done = p.add("KSamplerAdvanced", model=finer, positive=[good, 0], negative=[bad, 0], latent_image=[begun, 0], **rest)
    p.save([done, 0], vae, "sdxl-refiner")
    return p


def sdxl_velocity() -> Prompt:
    p = Prompt(
        "Velocity on SDXL: NoobAI",
        "Files with the keys `v_pred` and `ztsnr` need no node: the loader says what it found. Low cfg, *RescaleCFG*, plain "
        "Euler. Put `NoobAI-XL-Vpred-v1.0.safetensors` into models/checkpoints.",
    )
    model, clip, vae = checkpoint(p, "NoobAI-XL-Vpred-v1.0.safetensors")
    rescaled = p.add("RescaleCFG", model=model, multiplier=0.7)
    positive, negative = p.text(clip, "a fox spirit in a bamboo forest, masterpiece", "worst quality, low quality")
    p.save(p.sample([rescaled, 0], positive, negative, p.blank(832, 1216), steps=28, cfg=4.5), vae, "sdxl-v-prediction")
    return p


def sdxl_playground() -> Prompt:
    p = Prompt(
        "Playground 2.5",
        "SDXL's network trained on EDM's noise levels, told by the keys `edm_mean` and `edm_std` in the file. Karras "
        "levels, cfg 3. Put `playground-v2.5-1024px-aesthetic.fp16.safetensors` into models/checkpoints.",
    )
    model, clip, vae = checkpoint(p, "playground-v2.5-1024px-aesthetic.fp16.safetensors")
    positive, negative = p.text(clip, "a small sailing boat under huge clouds", "")
    more = {"cfg": 3.0, "sampler_name": "dpmpp_2m", "scheduler": "karras"}
    p.save(p.sample(model, positive, negative, p.blank(1024, 1024), **more), vae, "sdxl-playground")
    return p


def sdxl_cosxl() -> Prompt:
    p = Prompt(
        "Instructions on SDXL: CosXL Edit",
        "SDXL with EDM's noise levels and velocity, told by the keys `edm_vpred.*` in the file; the picture to change is eight "
        "of its channels' other half. Put `cosxl_edit.safetensors` into models/checkpoints. `cosxl.safetensors` needs no node.",
    )
    return instructed(p, "cosxl_edit.safetensors", "make it night", 5.0, "sdxl-cosxl-edit")


def sdxl_ssd() -> Prompt:
    p = Prompt(
        "SDXL with layers left out: SSD-1B",
        "Half of SDXL's size, 60 % faster, the same prompts, LoRAs of its own. Put `SSD-1B-A1111.safetensors` into "
        "models/checkpoints; Segmind Vega and KOALA go the same way.",
    )
    model, clip, vae = checkpoint(p, "SSD-1B-A1111.safetensors")
    positive, negative = p.text(clip, "an old bookshop with a cat in the window", "blurry, drawing")
    p.save(p.sample(model, positive, negative, p.blank(1024, 1024), cfg=7.0), vae, "sdxl-ssd-1b")
    return p


def sdxl_turbo() -> Prompt:
    p = Prompt(
        "Few steps: SDXL Turbo",
        "One to four steps without guidance, at 512 x 512. The scheduler *simple* gives its timesteps: 999, 749, 499, 249. Put "
        "`sd_xl_turbo_1.0_fp16.safetensors` into models/checkpoints; SD Turbo goes the same way.",
    )
    model, clip, vae = checkpoint(p, "sd_xl_turbo_1.0_fp16.safetensors")
    positive, negative = p.text(clip, "a paper boat on a puddle, macro photograph", "")
    more = {"steps": 4, "cfg": 1.0, "sampler_name": "euler_ancestral", "scheduler": "simple"}
    p.save(p.sample(model, positive, negative, p.blank(512, 512), **more), vae, "sdxl-turbo")
    return p


def sdxl_dmd2() -> Prompt:
    p = Prompt(
        "Few steps: DMD2",
        "Four steps by the *lcm* sampler at the timesteps it was trained for: 999, 749, 499, 249. Put "
        "`dmd2_sdxl_4step_unet_fp16.bin` into models/diffusion_models. The folder above has workflows that give variety back.",
    )
    _, clip, vae = checkpoint(p, "sd_xl_base_1.0.safetensors")
    fast = p.add("UNETLoader", unet_name="dmd2_sdxl_4step_unet_fp16.bin", weight_dtype="default")
    positive, negative = p.text(clip, "a fisherman mending nets, portrait", "")
    sampled = p.sample_at("999, 749, 499, 249", [fast, 0], positive, negative, p.blank(1024, 1024), "lcm")
    p.save(sampled, vae, "sdxl-dmd2")
    return p


def sdxl_hyper() -> Prompt:
    p = Prompt(
        "One step: Hyper-SDXL",
        "This network knows one noise level only, timestep 800, and jumps from it to the picture. Put "
        "`Hyper-SDXL-1step-unet.safetensors` into models/diffusion_models. Hyper's LoRAs for 2 to 8 steps take *sgm_uniform*.",
    )
    _, clip, vae = checkpoint(p, "sd_xl_base_1.0.safetensors")
    fast = p.add("UNETLoader", unet_name="Hyper-SDXL-1step-unet.safetensors", weight_dtype="default")
    positive, negative = p.text(clip, "a mountain hut under stars", "")
    p.save(p.sample_at("800", [fast, 0], positive, negative, p.blank(1024, 1024), "lcm"), vae, "sdxl-hyper")
    return p


def sdxl_lightning() -> Prompt:
    p = Prompt(
        "Few steps: SDXL Lightning",
        "A distilled UNet of its own with SDXL's text encoders and VAE: 4 steps, cfg 1, scheduler *sgm_uniform*. Put "
        "`sdxl_lightning_4step_unet.safetensors` into models/diffusion_models; there is one for 2 steps and one for 8.",
    )
    _, clip, vae = checkpoint(p, "sd_xl_base_1.0.safetensors")
    fast = p.add("UNETLoader", unet_name="sdxl_lightning_4step_unet.safetensors", weight_dtype="default")
    positive, negative = p.text(clip, "a tram on a wet street at night", "")
    more = {"steps": 4, "cfg": 1.0, "scheduler": "sgm_uniform"}
    p.save(p.sample([fast, 0], positive, negative, p.blank(1024, 1024), **more), vae, "sdxl-lightning")
    return p


def sdxl_gguf() -> Prompt:
    p = Prompt(
        "SDXL from GGUF",
        "A UNet in four or five bits a number: a third of the memory. *Load Diffusion Model* reads the same files. Put the "
        "UNet into models/diffusion_models, both text encoders into models/text_encoders, the VAE into models/vae.",
    )
    model = p.add("UnetLoaderGGUF", unet_name="sdxl-base-Q4_K.gguf")
    clip = p.add(
        "DualCLIPLoader", clip_name1="clip_l.safetensors", clip_name2="clip_g.safetensors", type="sdxl", device="default"
    )
    vae = p.add("VAELoader", vae_name="sdxl_vae.safetensors")
    positive, negative = p.text([clip, 0], "a watchmaker's desk, warm light", "blurry")
    p.save(p.sample([model, 0], positive, negative, p.blank(1024, 1024)), [vae, 0], "sdxl-gguf")
    return p


def sdxl_fooocus() -> Prompt:
    p = Prompt(
        "Inpainting with any SDXL model: Fooocus' patch",
        "Put `fooocus_inpaint_head.pth` and `inpaint_v26.fooocus.patch` into models/inpaint. Paint the mask on *Load Image*.",
    )
    model, clip, vae = checkpoint(p, "sd_xl_base_1.0.safetensors")
    positive, negative = p.text(clip, "a wooden door", "blurry")
    picture = p.add("LoadImage", image=PICTURE)
    hole = p.add("SolidMask", "The hole", value=1.0, width=512, height=512)
    told = p.add("INPAINT_VAEEncodeInpaintConditioning", positive=positive, negative=negative, vae=vae, pixels=[picture, 0],
                 mask=[hole, 0])  # fmt: skip
    patch = p.add("INPAINT_LoadFooocusInpaint", head="fooocus_inpaint_head.pth", patch="inpaint_v26.fooocus.patch")
    fills = p.add("INPAINT_ApplyFooocusInpaint", model=model, patch=[patch, 0], latent=[told, 2])
    p.save(p.sample([fills, 0], [told, 0], [told, 1], [told, 3]), vae, "sdxl-fooocus-inpaint")
    return p
