"""A pack that works on models, text, pictures and sampling through every name that is widely used."""

import comfy
import comfy.controlnet
import comfy.hooks
import comfy.lora
import comfy.model_management
import comfy.ops
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.utils
import folder_paths
import latent_preview
import node_helpers
import torch
from comfy.cli_args import args
from comfy.k_diffusion.sampling import get_ancestral_step, sample_euler, to_d
from comfy.ldm.modules.attention import optimized_attention
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import CallbacksMP, WrappersMP
from comfy_extras.nodes_custom_sampler import Noise_RandomNoise
from comfy_extras.nodes_mask import GrowMask
from server import PromptServer

import nodes
from nodes import MAX_RESOLUTION, CLIPTextEncode, KSampler, PreviewImage, VAEEncode, common_ksampler

SEEN = {}
comfy.samplers.SCHEDULER_HANDLERS["halving"] = comfy.samplers.SchedulerHandler(
    lambda ms, steps: torch.cat([ms.sigma_max * 0.5 ** torch.arange(steps), torch.zeros(1)])
)


def sample_steps(model, x, sigmas, extra_args=None, callback=None, disable=None, scale=1.0):
    """Euler, written as packs write it."""
    s_in = x.new_ones([x.shape[0]])
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i] * s_in, **(extra_args or {}))
        d = to_d(x, sigmas[i], denoised)
        if callback is not None:
            callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
        x = x + d * (sigmas[i + 1] - sigmas[i]) * scale
    return x


comfy.samplers.KSampler.SAMPLERS.append("steps")
comfy.k_diffusion.sampling.sample_steps = sample_steps


def seen(what, value):
    SEEN.setdefault("called", []).append(what)
    return value


def outer(executor, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, disable_pbar=False, seed=None):
    assert seen("outer_sample", executor.class_obj.cfg) == 3.0
    return executor(noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed)


def half_of_the_steps(executor, noise, latent_image, sampler, sigmas, *rest):
    return executor(noise, latent_image, sampler, sigmas[::2], *rest)


def predict(executor, x, timestep, model_options, seed):
    return seen("predict_noise", executor(x, timestep, model_options, seed))


def batch(executor, model, conds, x_in, timestep, model_options):
    assert all(entry["cross_attn"].ndim == 3 for cond in conds for entry in cond)
    return seen("calc_cond_batch", executor(model, conds, x_in, timestep, model_options))


def apply(executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options={}, **kwargs):  # noqa: B006
    assert set(transformer_options["cond_or_uncond"]) <= {0, 1}
    return seen("apply_model", executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs))


def network(executor, x, timesteps, context=None, **kwargs):
    return seen("diffusion_model", executor(x, timesteps, context, **kwargs))


def prepare(executor, model, noise_shape, conds, model_options=None, *rest):
    assert noise_shape[0] == 1
    assert model.clone() is not None
    assert set(conds) == {"positive", "negative"}
    return seen("prepare_sampling", executor(model, noise_shape, conds, model_options, *rest))


def other_prompt(executor, model, noise_shape, conds, *rest):
    return executor(model, noise_shape, {**conds, "positive": conds["negative"]}, *rest)


def sampler_sample(executor, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, mask=None, disable_pbar=False):
    assert isinstance(executor.class_obj, comfy.samplers.KSAMPLER)
    assert model_wrap.cfg == 3.0
    assert model_wrap.inner_model.model_sampling is not None
    return seen("sampler_sample", executor(model_wrap, sigmas, extra_args, callback, noise, latent_image, mask, disable_pbar))


def sampler_half(executor, model_wrap, sigmas, *rest):
    return executor(model_wrap, sigmas[::2], *rest)


def sampler_noise(executor, model_wrap, sigmas, extra_args, callback, noise, *rest):
    return executor(model_wrap, sigmas, extra_args, callback, -noise, *rest)


def sampler_model(executor, model_wrap, sigmas, extra_args, *rest):
    def model(x, sigma, **more):
        return seen("sampler_model", model_wrap(x, sigma, **more))

    return executor(model, sigmas, extra_args, *rest)


CHANGES = {
    "half by sampler": ("sampler_sample", sampler_half), "other noise": ("sampler_sample", sampler_noise),
    "other prompt": ("prepare_sampling", other_prompt), "model of its own": ("sampler_sample", sampler_model),
}  # fmt: skip
WRAPPERS = {
    "prepare_sampling": prepare, "sampler_sample": sampler_sample,
    "outer_sample": outer, "predict_noise": predict, "calc_cond_batch": batch, "apply_model": apply, "diffusion_model": network,
}  # fmt: skip


class Draw:
    """Loads, encodes, samples and decodes without a native node between."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "ckpt": (folder_paths.get_filename_list("checkpoints"),),
                "steps": ("INT", {"default": 4}),
                "way": (["ksampler", "common", "custom", "guider", "node"],),
                "width": ("INT", {"default": 32, "max": MAX_RESOLUTION}),
            }
        }

    RETURN_TYPES = ("IMAGE", "LATENT")
    FUNCTION = "draw"
    CATEGORY = "models"

    def draw(self, ckpt, steps, way, width):
        path = folder_paths.get_full_path_or_raise("checkpoints", ckpt)
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(path, output_vae=True, output_clip=True)
        assert isinstance(model, ModelPatcher)
        positive = clip.encode_from_tokens_scheduled(clip.tokenize("a red circle"))
        cond, pooled = clip.encode_from_tokens(clip.tokenize(""), return_pooled=True)
        negative = node_helpers.conditioning_set_values([[cond, {"pooled_output": pooled}]], {"strength": 1.0})
        latent = {"samples": torch.zeros(1, 4, width // 8, width // 8)}
        noise = comfy.sample.prepare_noise(latent["samples"], 7)
        if way == "ksampler":
            callback = latent_preview.prepare_callback(model, steps)
            samples = comfy.sample.sample(
                model, noise, steps, 3.0, "euler", "normal", positive, negative, latent["samples"], callback=callback, seed=7
            )
        elif way == "common":
            samples = common_ksampler(model, 7, steps, 3.0, "euler", "normal", positive, negative, latent)[0]["samples"]
        elif way == "custom":
            sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", steps)
            sampler = comfy.samplers.KSAMPLER(sample_steps)
            given = model, noise, 3.0, sampler, sigmas, positive, negative
            samples = comfy.sample.sample_custom(*given, latent["samples"], seed=7)
        elif way == "guider":
            guider = Joined(model)
            guider.set_conds(positive, negative)
            guider.set_cfg(3.0)
            sigmas = comfy.samplers.calculate_sigmas(model.model.model_sampling, "normal", steps)
            noise = Noise_RandomNoise(7).generate_noise(latent)
            sampler = comfy.samplers.sampler_object("euler")
            samples = guider.sample(noise, latent["samples"], sampler, sigmas, seed=7)
        else:
            samples = KSampler().sample(model, 7, steps, 3.0, "euler", "normal", positive, negative, latent)[0]["samples"]
        return (vae.decode(samples), {"samples": samples})


class Joined(comfy.samplers.CFGGuider):
    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006 as packs do
        both = comfy.samplers.calc_cond_batch(
            self.inner_model, [self.conds["positive"], self.conds["negative"]], x, timestep, model_options
        )
        return both[1] + (both[0] - both[1]) * self.cfg


class Hung:
    """Hangs functions on a model."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "what": ("STRING", {"default": "nothing"})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "hang"
    CATEGORY = "models"

    def hang(self, model, what):
        m = model.clone()
        m.model_options["transformer_options"]["mine"] = 1
        if what == "cfg":
            m.set_model_sampler_cfg_function(lambda a: a["uncond"] + (a["cond"] - a["uncond"]) * a["cond_scale"])
        elif what == "old cfg":
            m.set_model_sampler_cfg_function(lambda cond, uncond, scale: uncond + (cond - uncond) * scale)
        elif what == "pre":
            m.set_model_sampler_pre_cfg_function(lambda a: a["conds_out"])
        elif what == "post":
            m.set_model_sampler_post_cfg_function(lambda a: a["denoised"])
        elif what == "wrapper":
            m.set_model_unet_function_wrapper(lambda apply, a: apply(a["input"], a["timestep"], **a["c"]))
        elif what == "attn1":
            m.set_model_attn1_patch(self.seen)
        elif what == "attn2 replace":
            for block in [("input", i) for i in range(12)] + [("output", i) for i in range(12)] + [("middle", 0)]:
                m.set_model_attn2_replace(lambda q, k, v, extra: optimized_attention(q, k, v, extra["n_heads"]), *block)
        elif what == "attn2 output":
            m.set_model_attn2_output_patch(lambda n, extra: n)
        elif what in ("diff", "scale"):
            name, patches = next(iter(m.get_key_patches("diffusion_model.").items()))
            change = torch.zeros_like(patches[0][0]) if what == "diff" else torch.ones_like(patches[0][0])
            assert m.add_patches({name: ("diff", (change,))}, 1.0) == [name]
        elif what in WRAPPERS:
            m.add_wrapper_with_key(getattr(WrappersMP, what.upper()), "mine", WRAPPERS[what])
            m.add_callback_with_key(CallbacksMP.ON_PRE_RUN, "mine", lambda patcher: seen("before", patcher))
            m.add_callback_with_key(CallbacksMP.ON_CLEANUP, "mine", lambda patcher: seen("after", patcher))
        elif what in CHANGES:
            m.add_wrapper(*CHANGES[what])
        elif what == "fewer steps":
            m.add_wrapper(WrappersMP.OUTER_SAMPLE, half_of_the_steps)
        elif what == "input block":
            m.set_model_input_block_patch(lambda h, options: seen(options["block"], h))
            m.set_model_input_block_patch_after_skip(lambda h, options: h)
        elif what == "output block":
            m.set_model_output_block_patch(lambda h, skip, options: (seen(options["block"], h), skip))
        elif what == "weaker skips":
            m.set_model_output_block_patch(lambda h, skip, options: (h, skip * 0.5))
        elif what == "mask":
            m.set_model_denoise_mask_function(lambda sigma, mask, extra_options: seen("mask", mask))
        elif what == "again":
            m.set_model_sampler_post_cfg_function(self.again)
        elif what == "without attention":
            m.set_model_sampler_post_cfg_function(self.without_attention, disable_cfg1_optimization=True)
        m.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "other", print)
        m.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, "other")
        SEEN["format"] = m.get_model_object("latent_format").latent_channels
        SEEN["sigma"] = float(m.get_model_object("model_sampling").sigma_max)
        SEEN["device"] = m.load_device
        SEEN["callbacks"] = m.get_all_callbacks(CallbacksMP.ON_PRE_RUN)
        return (m,)

    def seen(self, n, context, value, extra):
        SEEN.setdefault("blocks", set()).add(extra["block"])
        SEEN["extra"] = {name: extra[name] for name in ("sigmas", "cond_or_uncond", "original_shape", "sample_sigmas", "mine")}
        return n, context, value

    def again(self, a):
        """Asks for the very prediction it was given: of a step, and of itself."""
        (cond,) = comfy.samplers.calc_cond_batch(a["model"], [a["cond"]], a["input"], a["sigma"], a["model_options"])
        assert torch.equal(cond, a["cond_denoised"])
        moved = comfy.samplers.calc_cond_batch(a["model"], [a["uncond"]], a["input"] * 1.001, a["sigma"], a["model_options"])[0]
        assert not torch.equal(moved, a["uncond_denoised"])
        assert torch.allclose(moved, a["uncond_denoised"], atol=0.5)
        return a["denoised"]

    def without_attention(self, a):
        """Perturbed attention, as packs write it: the prediction once more with self-attention as it is not."""
        options = comfy.model_patcher.create_model_options_clone(a["model_options"])
        for i in range(12):
            comfy.model_patcher.set_model_options_patch_replace(options, lambda q, k, v, extra: v, "attn1", "input", i)
        (worse,) = comfy.samplers.calc_cond_batch(a["model"], [a["cond"]], a["input"], a["sigma"], options)
        SEEN["difference"] = float((worse - a["cond_denoised"]).abs().mean())
        return a["denoised"] + (a["cond_denoised"] - worse) * 0.0


class Preview(PreviewImage):
    """Inherits from a core class, as many packs do."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "look"

    def look(self, images, prompt=None, extra_pnginfo=None):
        shown = self.save_images(images, "mine", prompt, extra_pnginfo)
        mask = GrowMask().expand_mask(images[..., 0], 1, True)[0]
        SEEN["mask"] = tuple(mask.shape)
        SEEN["scaled"] = comfy.utils.common_upscale(images.movedim(-1, 1), 16, 8, "bilinear", "center").shape
        SEEN["text"] = CLIPTextEncode.FUNCTION, VAEEncode.RETURN_TYPES, nodes.NODE_CLASS_MAPPINGS["KSampler"].FUNCTION
        SEEN["free"] = comfy.model_management.get_free_memory() > 0 and not args.lowvram
        SEEN["step"] = get_ancestral_step(torch.tensor(2.0), torch.tensor(1.0)), sample_euler
        comfy.model_management.throw_exception_if_processing_interrupted()
        comfy.model_management.soft_empty_cache()
        PromptServer.instance.send_sync("mine", {"node": 1})
        layer = comfy.ops.manual_cast.Linear(4, 4, dtype=torch.float16)
        SEEN["cast"] = layer(torch.ones(1, 4)).dtype
        return {**shown, "result": (images,)}


class Hooked:
    """A LoRA on one prompt, by hooks of the pack's own, with keyframes and beside hooks it is given."""

    @classmethod
    def INPUT_TYPES(cls):
        required = {"cond": ("CONDITIONING",), "lora": (folder_paths.get_filename_list("loras"),), "frames": ("BOOLEAN",)}
        return {"required": required, "optional": {"hooks": ("HOOKS",)}}

    RETURN_TYPES = ("CONDITIONING", "HOOKS")
    FUNCTION = "go"
    CATEGORY = "models"

    def go(self, cond, lora, frames, hooks=None):
        tensors = comfy.utils.load_torch_file(folder_paths.get_full_path_or_raise("loras", lora))
        group = comfy.hooks.create_hook_lora(tensors, 0.75, 0.0)
        if frames:
            keyframes = comfy.hooks.HookKeyframeGroup()
            keyframes.add(comfy.hooks.HookKeyframe(0.5, 0.5, 0))
            keyframes.add(comfy.hooks.HookKeyframe(1.0))
            group.set_keyframes_on_hooks(keyframes)
        group = comfy.hooks.HookGroup.combine_all_hooks([hooks, group])
        return comfy.hooks.set_hooks_for_conditioning(cond, group), group


NODE_CLASS_MAPPINGS = {"Models Hooked": Hooked, "Models Draw": Draw, "Models Hung": Hung, "Models Preview": Preview}
