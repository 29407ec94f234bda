"""A pack that uses every name in ``names.txt``, each for what packs use it for. ``Popular Use`` does so by name."""

import os
from types import SimpleNamespace

import comfy.controlnet
import comfy.lora
import comfy.model_base
import comfy.model_management as mm
import comfy.model_patcher
import comfy.ops
import comfy.sample
import comfy.sampler_helpers
import comfy.samplers
import comfy.sd
import comfy.utils
import comfy_extras.nodes_upscale_model
import folder_paths
import latent_preview
import node_helpers
import torch
from comfy.cli_args import args
from comfy.ldm.modules.attention import optimized_attention
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.patcher_extension import CallbacksMP, WrappersMP
from comfy_execution.graph import ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder, is_link
from PIL import Image
from server import BinaryEventTypes, PromptServer

import nodes

USES = {}
CKPT = "loom-demo.safetensors"


def use(name):
    def note(function):
        assert name not in USES
        USES[name] = function
        return function

    return note


def latent():
    return {"samples": torch.zeros(1, 4, 4, 4)}


def sampled(t, model=None, steps=2):
    """Two steps with the text it was given."""
    out = nodes.common_ksampler(model or t.model, 3, steps, 2.0, "euler", "normal", t.cond(), t.cond(""), latent())
    return out[0]["samples"]


# folder_paths


@use("folder_paths.get_filename_list")
def _(t):
    assert CKPT in folder_paths.get_filename_list("checkpoints")


@use("folder_paths.get_full_path")
def _(t):
    assert os.path.isfile(folder_paths.get_full_path("checkpoints", CKPT))
    assert folder_paths.get_full_path("checkpoints", "none.safetensors") is None


@use("folder_paths.get_full_path_or_raise")
def _(t):
    assert folder_paths.get_full_path_or_raise("checkpoints", CKPT).endswith(CKPT)
    try:
        folder_paths.get_full_path_or_raise("checkpoints", "none.safetensors")
    except FileNotFoundError:
        return
    raise AssertionError


@use("folder_paths.get_output_directory")
def _(t):
    assert os.path.isdir(folder_paths.get_output_directory())


@use("folder_paths.get_temp_directory")
def _(t):
    assert os.path.isdir(folder_paths.get_temp_directory())


@use("folder_paths.get_input_directory")
def _(t):
    assert os.path.isdir(folder_paths.get_input_directory())


@use("folder_paths.get_directory_by_type")
def _(t):
    assert folder_paths.get_directory_by_type("temp") == folder_paths.get_temp_directory()


@use("folder_paths.get_folder_paths")
def _(t):
    assert any(os.path.isfile(os.path.join(path, CKPT)) for path in folder_paths.get_folder_paths("checkpoints"))


@use("folder_paths.models_dir")
def _(t):
    assert os.path.isdir(os.path.join(folder_paths.models_dir, "checkpoints"))


@use("folder_paths.base_path")
def _(t):
    assert os.path.isabs(folder_paths.base_path)


@use("folder_paths.supported_pt_extensions")
def _(t):
    assert {".safetensors", ".ckpt", ".pt"} <= folder_paths.supported_pt_extensions


@use("folder_paths.folder_names_and_paths")
def _(t):
    folder = os.path.join(folder_paths.get_temp_directory(), "popular_things")
    os.makedirs(folder, exist_ok=True)
    open(os.path.join(folder, "a.thing"), "w").close()
    folder_paths.folder_names_and_paths["popular_things"] = ([folder], {".thing"})
    assert folder_paths.get_filename_list("popular_things") == ["a.thing"]
    assert folder_paths.folder_names_and_paths["checkpoints"][1] >= {".safetensors"}


@use("folder_paths.add_model_folder_path")
def _(t):
    folder = os.path.join(folder_paths.get_temp_directory(), "more_loras")
    os.makedirs(folder, exist_ok=True)
    open(os.path.join(folder, "mine.safetensors"), "w").close()
    folder_paths.add_model_folder_path("loras", folder)
    assert "mine.safetensors" in folder_paths.get_filename_list("loras")


@use("folder_paths.get_annotated_filepath")
def _(t):
    assert folder_paths.get_annotated_filepath("a.png [output]") == os.path.join(folder_paths.get_output_directory(), "a.png")


@use("folder_paths.get_save_image_path")
def _(t):
    folder, name, number, sub, prefix = folder_paths.get_save_image_path("s/x_%width%", folder_paths.get_output_directory(), 8, 8)
    assert (os.path.isdir(folder), name, number, sub, prefix) == (True, "x_8", 1, "s", "s/x_8")


# comfy.utils


@use("comfy.utils.load_torch_file")
def _(t):
    sd, metadata = comfy.utils.load_torch_file(t.path, safe_load=True, return_metadata=True)
    assert any(name.startswith("model.diffusion_model.") for name in sd)
    assert isinstance(metadata, dict)


@use("comfy.utils.save_torch_file")
def _(t):
    path = os.path.join(folder_paths.get_temp_directory(), "saved.safetensors")
    comfy.utils.save_torch_file({"a": torch.ones(2)}, path, metadata={"b": "c"})
    sd, metadata = comfy.utils.load_torch_file(path, return_metadata=True)
    assert sd["a"].tolist() == [1, 1]
    assert metadata == {"b": "c"}


@use("comfy.utils.common_upscale")
def _(t):
    wide = torch.arange(8.0).reshape(1, 1, 1, 8).expand(1, 1, 4, 8)
    assert comfy.utils.common_upscale(wide, 4, 4, "nearest-exact", "center")[0, 0, 0].tolist() == [2, 3, 4, 5]


@use("comfy.utils.ProgressBar")
def _(t):
    bar = comfy.utils.ProgressBar(3)
    bar.update(1)
    bar.update_absolute(3, 3)
    assert bar.current == 3


@use("comfy.utils.PROGRESS_BAR_ENABLED")
def _(t):
    assert comfy.utils.PROGRESS_BAR_ENABLED in (True, False)


@use("comfy.utils.get_attr")
def _(t):
    assert comfy.utils.get_attr(t.model.model, "latent_format.latent_channels") == 4


@use("comfy.utils.state_dict_prefix_replace")
def _(t):
    assert comfy.utils.state_dict_prefix_replace({"a.x": 1, "b": 2}, {"a.": "c."}, filter_keys=True) == {"c.x": 1}


# comfy.model_management


@use("comfy.model_management.get_torch_device")
def _(t):
    assert torch.zeros(1, device=mm.get_torch_device()).device.type in ("cpu", "cuda", "mps")


@use("comfy.model_management.unet_offload_device")
def _(t):
    assert mm.unet_offload_device() == torch.device("cpu")


@use("comfy.model_management.intermediate_device")
def _(t):
    assert t.vae.encode(torch.zeros(1, 32, 32, 3)).device == mm.intermediate_device()


@use("comfy.model_management.text_encoder_device")
def _(t):
    assert isinstance(mm.text_encoder_device(), torch.device)


@use("comfy.model_management.unet_dtype")
def _(t):
    assert mm.unet_dtype(device=mm.get_torch_device()).is_floating_point


@use("comfy.model_management.unet_manual_cast")
def _(t):
    dtype = mm.unet_dtype()
    assert mm.unet_manual_cast(dtype, mm.get_torch_device()) is None
    assert mm.unet_manual_cast(torch.float8_e4m3fn, mm.get_torch_device()) == dtype


@use("comfy.model_management.should_use_fp16")
def _(t):
    assert mm.should_use_fp16(mm.get_torch_device()) == (mm.unet_dtype() == torch.float16)


@use("comfy.model_management.load_models_gpu")
def _(t):
    mm.load_models_gpu([t.model, t.vae.patcher, t.clip.patcher], memory_required=1)


@use("comfy.model_management.load_model_gpu")
def _(t):
    mm.load_model_gpu(t.model)


@use("comfy.model_management.unload_all_models")
def _(t):
    before = sampled(t)
    mm.unload_all_models()
    assert torch.equal(sampled(t), before)


@use("comfy.model_management.free_memory")
def _(t):
    mm.free_memory(1, mm.get_torch_device())
    assert sampled(t).shape == (1, 4, 4, 4)


@use("comfy.model_management.get_free_memory")
def _(t):
    assert 0 < mm.get_free_memory(torch.device("cpu")) <= mm.get_total_memory(torch.device("cpu"))


@use("comfy.model_management.soft_empty_cache")
def _(t):
    mm.soft_empty_cache()


@use("comfy.model_management.cast_to_device")
def _(t):
    assert mm.cast_to_device(torch.ones(1), torch.device("cpu"), torch.float16).dtype == torch.float16


@use("comfy.model_management.InterruptProcessingException")
def _(t):
    assert issubclass(mm.InterruptProcessingException, Exception)


@use("comfy.model_management.throw_exception_if_processing_interrupted")
def _(t):
    mm.throw_exception_if_processing_interrupted()


# server


@use("server.PromptServer.instance")
def _(t):
    assert isinstance(PromptServer.instance, PromptServer)
    assert PromptServer.instance.last_node_id == t.id


@use("server.PromptServer.instance.routes")
def _(t):
    before = len(PromptServer.instance.routes)

    @PromptServer.instance.routes.get("/popular/hello")
    async def hello(request):
        return None

    assert len(PromptServer.instance.routes) == before + 1


@use("server.PromptServer.instance.send_sync")
def _(t):
    PromptServer.instance.send_sync("popular", {"node": t.id}, PromptServer.instance.client_id)


@use("server.PromptServer.instance.client_id")
def _(t):
    assert PromptServer.instance.client_id == "somebody"


@use("server.PromptServer.instance.prompt_queue")
def _(t):
    running, waiting = PromptServer.instance.prompt_queue.get_current_queue()
    assert running == waiting == []
    assert PromptServer.instance.prompt_queue.get_tasks_remaining() == 0


@use("server.PromptServer.instance.add_on_prompt_handler")
def _(t):
    PromptServer.instance.add_on_prompt_handler(lambda json_data: {**json_data, "seen": True})
    try:
        assert PromptServer.instance.trigger_on_prompt({"prompt": {}}) == {"prompt": {}, "seen": True}
    finally:
        PromptServer.instance.on_prompt_handlers.pop()


@use("server.BinaryEventTypes")
def _(t):
    assert BinaryEventTypes.PREVIEW_IMAGE == 1


# nodes


@use("nodes.MAX_RESOLUTION")
def _(t):
    assert nodes.MAX_RESOLUTION == 16384


@use("nodes.NODE_CLASS_MAPPINGS")
def _(t):
    assert nodes.NODE_CLASS_MAPPINGS["Popular Use"] is Use
    empty = nodes.NODE_CLASS_MAPPINGS["EmptyLatentImage"]()
    assert getattr(empty, empty.FUNCTION)(64, 32, 1)[0]["samples"].shape == (1, 4, 4, 8)


@use("nodes.VAEEncode")
def _(t):
    assert nodes.VAEEncode().encode(t.vae, torch.zeros(1, 32, 32, 3))[0]["samples"].shape == (1, 4, 4, 4)


@use("nodes.VAEDecode")
def _(t):
    assert nodes.VAEDecode().decode(t.vae, latent())[0].shape == (1, 32, 32, 3)


@use("nodes.VAEDecodeTiled")
def _(t):
    (tiled,) = nodes.VAEDecodeTiled().decode(t.vae, latent(), 512)
    assert torch.allclose(tiled, nodes.VAEDecode().decode(t.vae, latent())[0], atol=1e-3)


@use("nodes.CLIPTextEncode")
def _(t):
    ((cond, options),) = nodes.CLIPTextEncode().encode(t.clip, "a red circle")[0]
    assert cond.shape[1] == 77
    assert "pooled_output" in options


@use("nodes.CheckpointLoaderSimple")
def _(t):
    model, clip, vae = nodes.CheckpointLoaderSimple().load_checkpoint(CKPT)
    assert isinstance(model, comfy.model_patcher.ModelPatcher)
    assert isinstance(clip, comfy.sd.CLIP)
    assert isinstance(vae, comfy.sd.VAE)


@use("nodes.LoraLoader")
def _(t):
    model, clip = nodes.LoraLoader().load_lora(t.model, t.clip, os.path.basename(t.lora), 1.0, 1.0)
    assert not torch.equal(sampled(t, model), sampled(t))
    assert isinstance(clip, comfy.sd.CLIP)


@use("nodes.ControlNetApplyAdvanced")
def _(t):
    net = comfy.controlnet.load_controlnet(t.control)
    hint = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(1))
    positive, negative = nodes.ControlNetApplyAdvanced().apply_controlnet(t.cond(), t.cond(""), net, hint, 1.0, 0.0, 1.0)
    out = nodes.common_ksampler(t.model, 3, 2, 2.0, "euler", "normal", positive, negative, latent())
    assert not torch.equal(out[0]["samples"], sampled(t))


@use("nodes.common_ksampler")
def _(t):
    assert sampled(t).shape == (1, 4, 4, 4)


@use("nodes.SaveImage")
def _(t):
    ui = nodes.SaveImage().save_images(torch.zeros(1, 8, 8, 3), "popular", {"1": {}}, {"workflow": {}})["ui"]
    saved = os.path.join(folder_paths.get_output_directory(), ui["images"][0]["subfolder"], ui["images"][0]["filename"])
    with Image.open(saved) as image:
        assert {"prompt", "workflow"} <= image.info.keys()


@use("nodes.PreviewImage")
def _(t):
    assert nodes.PreviewImage().save_images(torch.zeros(1, 8, 8, 3))["ui"]["images"][0]["type"] == "temp"


@use("comfy_extras.nodes_upscale_model.ImageUpscaleWithModel")
def _(t):
    (model,) = comfy_extras.nodes_upscale_model.UpscaleModelLoader().load_model(os.path.basename(t.upscaler))
    (image,) = comfy_extras.nodes_upscale_model.ImageUpscaleWithModel().upscale(model, torch.rand(1, 8, 8, 3))
    assert image.shape == (1, 32, 32, 3)


@use("node_helpers.conditioning_set_values")
def _(t):
    assert node_helpers.conditioning_set_values(t.cond(), {"strength": 0.5})[0][1]["strength"] == 0.5


@use("node_helpers.pillow")
def _(t):
    path = os.path.join(folder_paths.get_temp_directory(), "p.png")
    Image.new("RGB", (2, 2)).save(path)
    assert node_helpers.pillow(Image.open, path).size == (2, 2)


# sampling


@use("comfy.samplers.KSampler")
def _(t):
    sampler = comfy.samplers.KSampler(t.model, 2, mm.get_torch_device(), "euler", "normal", 1.0)
    noise = comfy.sample.prepare_noise(latent()["samples"], 3)
    samples = sampler.sample(noise, t.cond(), t.cond(""), cfg=2.0, latent_image=latent()["samples"], seed=3)
    assert torch.equal(samples, sampled(t))


@use("comfy.samplers.KSampler.SAMPLERS")
def _(t):
    assert "euler" in comfy.samplers.KSampler.SAMPLERS
    assert len(comfy.samplers.KSampler.SAMPLERS) >= 42


@use("comfy.samplers.KSampler.SCHEDULERS")
def _(t):
    assert {"simple", "normal", "karras", "beta"} <= set(comfy.samplers.KSampler.SCHEDULERS)


@use("comfy.samplers.CFGGuider")
def _(t):
    guider = comfy.samplers.CFGGuider(t.model)
    guider.set_conds(t.cond(), t.cond(""))
    guider.set_cfg(2.0)
    sigmas = comfy.samplers.calculate_sigmas(t.model.get_model_object("model_sampling"), "normal", 2)
    noise = comfy.sample.prepare_noise(latent()["samples"], 3)
    samples = guider.sample(noise, latent()["samples"], comfy.samplers.sampler_object("euler"), sigmas, seed=3)
    assert torch.equal(samples, sampled(t))


@use("comfy.samplers.KSAMPLER")
def _(t):
    def one_step(model, x, sigmas, extra_args=None, callback=None, disable=None):
        return model(x, sigmas[0] * x.new_ones([len(x)]), **(extra_args or {}))

    sigmas = torch.tensor([10.0, 0.0])
    noise = comfy.sample.prepare_noise(latent()["samples"], 3)
    custom = comfy.samplers.KSAMPLER(one_step)
    drawn = [
        comfy.sample.sample_custom(t.model, noise, 2.0, sampler, sigmas, t.cond(), t.cond(""), latent()["samples"], seed=3)
        for sampler in (custom, comfy.samplers.sampler_object("euler"))
    ]
    assert torch.allclose(*drawn, atol=1e-4)


@use("comfy.samplers.sampler_object")
def _(t):
    assert isinstance(comfy.samplers.sampler_object("dpmpp_2m"), comfy.samplers.KSAMPLER)


@use("comfy.samplers.sampling_function")
def _(t):
    x, sigma = torch.ones(1, 4, 4, 4), torch.tensor([2.0])
    both = [
        comfy.samplers.calc_cond_batch(t.model.model, [c], x, sigma, t.model.model_options)[0] for c in (t.cond(), t.cond(""))
    ]
    joined = comfy.samplers.sampling_function(t.model.model, x, sigma, t.cond(""), t.cond(), 3.0, t.model.model_options)
    assert torch.allclose(joined, both[1] + (both[0] - both[1]) * 3.0, atol=1e-3)


@use("comfy.samplers.calculate_sigmas")
def _(t):
    sigmas = comfy.samplers.calculate_sigmas(t.model.get_model_object("model_sampling"), "karras", 5)
    assert len(sigmas) == 6
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()


@use("comfy.sample.sample")
def _(t):
    noise = comfy.sample.prepare_noise(latent()["samples"], 3)
    given = t.model, noise, 2, 2.0, "euler", "normal", t.cond(), t.cond(""), latent()["samples"]
    assert torch.equal(comfy.sample.sample(*given, denoise=1.0, seed=3), sampled(t))


@use("comfy.sample.fix_empty_latent_channels")
def _(t):
    assert comfy.sample.fix_empty_latent_channels(t.model, torch.zeros(1, 16, 4, 4)).shape == (1, 4, 4, 4)


@use("comfy.sampler_helpers.convert_cond")
def _(t):
    (entry,) = comfy.sampler_helpers.convert_cond(t.cond())
    assert torch.equal(entry["cross_attn"], t.cond()[0][0])
    assert "uuid" in entry


@use("comfy.sampler_helpers.prepare_mask")
def _(t):
    assert comfy.sampler_helpers.prepare_mask(torch.ones(1, 32, 32), (2, 4, 4, 4), "cpu").shape == (2, 4, 4, 4)


@use("comfy.sampler_helpers.get_additional_models")
def _(t):
    assert comfy.sampler_helpers.get_additional_models({"positive": t.cond()}, torch.float32) == ([], 0)


@use("latent_preview.get_previewer")
def _(t):
    previewer = latent_preview.get_previewer(mm.get_torch_device(), t.model.model.latent_format)
    kind, image, longest = previewer.decode_latent_to_preview_image("JPEG", latent()["samples"])
    assert (kind, image.size, longest) == ("JPEG", (4, 4), 512)


@use("latent_preview.prepare_callback")
def _(t):
    kept = {}
    callback = latent_preview.prepare_callback(t.model, 2, kept)
    callback(0, latent()["samples"], latent()["samples"], 2)
    assert kept["x0"].shape == (1, 4, 4, 4)


# comfy.sd, lora, controlnet


@use("comfy.sd.load_checkpoint_guess_config")
def _(t):
    model, clip, vae, vision = comfy.sd.load_checkpoint_guess_config(t.path, output_vae=True, output_clip=True)
    assert torch.equal(sampled(t, model), sampled(t))
    assert clip is not None
    assert vae is not None
    assert vision is None


@use("comfy.sd.load_checkpoint")
def _(t):
    model, clip, vae = comfy.sd.load_checkpoint(ckpt_path=t.path)
    assert None not in (model, clip, vae)


@use("comfy.sd.load_diffusion_model_state_dict")
def _(t):
    sd = comfy.utils.load_torch_file(t.path)
    inner = comfy.utils.state_dict_prefix_replace(dict(sd), {"model.diffusion_model.": ""}, filter_keys=True)
    assert torch.equal(sampled(t, comfy.sd.load_diffusion_model_state_dict(inner)), sampled(t))


@use("comfy.sd.VAE")
def _(t):
    sd = comfy.utils.state_dict_prefix_replace(
        dict(comfy.utils.load_torch_file(t.path)), {"first_stage_model.": ""}, filter_keys=True
    )
    assert torch.equal(comfy.sd.VAE(sd=sd).decode(latent()["samples"]), t.vae.decode(latent()["samples"]))


@use("comfy.sd.CLIP")
def _(t):
    skipped = t.clip.clone()
    skipped.clip_layer(-2)
    assert not torch.equal(skipped.encode("a"), t.clip.encode("a"))


@use("comfy.sd.load_lora_for_models")
def _(t):
    lora = comfy.utils.load_torch_file(t.lora, safe_load=True)
    model, clip = comfy.sd.load_lora_for_models(t.model, t.clip, lora, 1.0, 0.0)
    assert not torch.equal(sampled(t, model), sampled(t))
    assert clip is not t.clip


@use("comfy.lora.model_lora_keys_unet")
def _(t):
    keys = comfy.lora.model_lora_keys_unet(t.model.model, {})
    assert any(name.startswith("lora_unet_") for name in keys)
    assert all(name.startswith("diffusion_model.") for name in keys.values())


@use("comfy.lora.load_lora")
def _(t):
    keys = comfy.lora.model_lora_keys_unet(t.model.model, {})
    patches = comfy.lora.load_lora(comfy.utils.load_torch_file(t.lora), keys)
    patched = t.model.clone()
    assert set(patched.add_patches(patches, 1.0)) == set(patches) != set()
    assert not torch.equal(sampled(t, patched), sampled(t))


@use("comfy.controlnet.load_controlnet")
def _(t):
    net = comfy.controlnet.load_controlnet(t.control).copy()
    net.set_cond_hint(torch.zeros(1, 3, 32, 32), 0.5, (0.0, 0.8))
    assert isinstance(net, comfy.controlnet.ControlNet)


# layers


@use("comfy.ldm.modules.attention.optimized_attention")
def _(t):
    q = torch.rand(1, 6, 8)
    one = torch.nn.functional.scaled_dot_product_attention(*[q.reshape(1, 6, 2, 4).transpose(1, 2)] * 3).transpose(1, 2)
    assert torch.allclose(optimized_attention(q, q, q, 2), one.reshape(1, 6, 8))


@use("comfy.ops.manual_cast")
def _(t):
    layer = comfy.ops.manual_cast.Linear(2, 2, dtype=torch.float16)
    torch.nn.init.ones_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    assert layer(torch.ones(1, 2)).tolist() == [[2.0, 2.0]]


@use("comfy.ops.disable_weight_init")
def _(t):
    assert isinstance(comfy.ops.disable_weight_init.Conv2d(1, 1, 1), torch.nn.Conv2d)


@use("comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel")
def _(t):
    assert isinstance(t.model.model.diffusion_model, UNetModel)
    assert not isinstance(torch.nn.Linear(1, 1), UNetModel)


@use("comfy.model_base.BaseModel")
def _(t):
    assert isinstance(t.model.model, comfy.model_base.BaseModel)


@use("comfy.model_base.ModelType")
def _(t):
    assert t.model.model.model_type == comfy.model_base.ModelType.EPS


# graphs


@use("comfy_execution.graph.ExecutionBlocker")
def _(t):
    assert ExecutionBlocker("why").message == "why"


@use("comfy_execution.graph_utils.GraphBuilder")
def _(t):
    graph = GraphBuilder()
    graph.node("PreviewAny", source=graph.node("PrimitiveInt", value=3).out(0))
    assert [node["class_type"] for node in graph.finalize().values()] == ["PrimitiveInt", "PreviewAny"]


@use("comfy_execution.graph_utils.is_link")
def _(t):
    assert is_link(["1", 0])
    assert not is_link(["1", "0"])


@use("comfy.cli_args.args")
def _(t):
    assert args.lowvram is False
    assert args.listen is not None


@use("comfy.patcher_extension.WrappersMP.OUTER_SAMPLE")
def _(t):
    called = []

    def outer(executor, *given, **named):
        called.append(executor.class_obj)
        return executor(*given, **named)

    wrapped = t.model.clone()
    wrapped.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "popular", outer)
    assert torch.equal(sampled(t, wrapped), sampled(t))
    assert len(called) == 1


@use("comfy.patcher_extension.CallbacksMP.ON_PRE_RUN")
def _(t):
    called = []
    heard = t.model.clone()
    heard.add_callback(CallbacksMP.ON_PRE_RUN, called.append)
    sampled(t, heard)
    assert len(called) == 1


# methods of objects


@use("comfy.model_patcher.ModelPatcher")
def _(t):
    assert isinstance(t.model, comfy.model_patcher.ModelPatcher)
    own = comfy.model_patcher.ModelPatcher(torch.nn.Linear(2, 2), mm.get_torch_device(), mm.unet_offload_device())
    assert own.model_size() == 24


@use("ModelPatcher.clone")
def _(t):
    m = t.model.clone()
    m.model_options["transformer_options"]["mine"] = 1
    assert "mine" not in t.model.model_options["transformer_options"]
    assert m.is_clone(t.model)


@use("ModelPatcher.model_options")
def _(t):
    assert "transformer_options" in t.model.model_options


@use("ModelPatcher.load_device")
def _(t):
    assert t.model.load_device == mm.get_torch_device()


@use("ModelPatcher.offload_device")
def _(t):
    assert t.model.offload_device == torch.device("cpu")


@use("ModelPatcher.add_patches")
def _(t):
    m = t.model.clone()
    name, patches = next(iter(m.get_key_patches("diffusion_model.").items()))
    assert m.add_patches({name: (torch.ones_like(patches[0][0]),)}, 0.5) == [name]
    assert m.add_patches({"diffusion_model.none": (torch.ones(1),)}) == []
    assert not torch.equal(sampled(t, m), sampled(t))


@use("ModelPatcher.get_model_object")
def _(t):
    assert t.model.get_model_object("latent_format").latent_channels == 4
    assert t.model.get_model_object("diffusion_model") is t.model.model.diffusion_model


@use("ModelPatcher.add_object_patch")
def _(t):
    import comfy.model_sampling

    class Other(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION):
        pass

    m = t.model.clone()
    m.add_object_patch("model_sampling", Other(m.model.model_config))
    assert not torch.equal(sampled(t, m), sampled(t))


@use("ModelPatcher.memory_required")
def _(t):
    assert t.model.memory_required([2, 4, 64, 64]) > t.model.memory_required([1, 4, 64, 64]) > 0


@use("ModelPatcher.set_model_sampler_cfg_function")
def _(t):
    m = t.model.clone()
    m.set_model_sampler_cfg_function(lambda a: a["uncond"] + (a["cond"] - a["uncond"]) * a["cond_scale"])
    assert torch.allclose(sampled(t, m), sampled(t), atol=1e-3)


@use("ModelPatcher.set_model_sampler_post_cfg_function")
def _(t):
    m = t.model.clone()
    m.set_model_sampler_post_cfg_function(lambda a: a["denoised"] * 0.5)
    assert not torch.allclose(sampled(t, m), sampled(t), atol=1e-3)


@use("ModelPatcher.set_model_patch_replace")
def _(t):
    m = t.model.clone()
    for i in range(12):
        m.set_model_patch_replace(lambda q, k, v, extra: v, "attn1", "input", i)
    assert not torch.allclose(sampled(t, m), sampled(t), atol=1e-4)


@use("ModelPatcher.add_wrapper_with_key")
def _(t):
    m = t.model.clone()
    m.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "popular", lambda executor, *a, **k: executor(*a, **k) * 0.5)
    assert not torch.allclose(sampled(t, m), sampled(t), atol=1e-3)


@use("ModelPatcher.patch_model")
def _(t):
    assert t.model.patch_model(mm.get_torch_device()) is t.model.model
    t.model.unpatch_model(mm.unet_offload_device())


@use("BaseModel.diffusion_model")
def _(t):
    assert isinstance(t.model.model.diffusion_model, torch.nn.Module)


@use("BaseModel.latent_format")
def _(t):
    x = torch.rand(1, 4, 2, 2)
    latent_format = t.model.model.latent_format
    assert torch.allclose(latent_format.process_out(latent_format.process_in(x)), x, atol=1e-5)


@use("BaseModel.model_sampling")
def _(t):
    sampling = t.model.model.model_sampling
    assert sampling.sigma_max > sampling.sigma_min > 0
    assert sampling.percent_to_sigma(0.5) < sampling.percent_to_sigma(0.1)


@use("BaseModel.process_latent_out")
def _(t):
    x = torch.rand(1, 4, 2, 2)
    assert torch.allclose(t.model.model.process_latent_out(t.model.model.process_latent_in(x)), x, atol=1e-5)


@use("CLIP.tokenize")
def _(t):
    tokens = t.clip.tokenize("a (red:1.5) circle", return_word_ids=True)
    assert any(weight == 1.5 for row in tokens["l"] for _, weight, _ in row)


@use("CLIP.encode_from_tokens")
def _(t):
    cond, pooled = t.clip.encode_from_tokens(t.clip.tokenize("a red circle"), return_pooled=True)
    assert torch.equal(cond, t.cond()[0][0])
    assert pooled.ndim == 2


@use("CLIP.cond_stage_model")
def _(t):
    assert isinstance(t.clip.cond_stage_model.clip_l, torch.nn.Module)


@use("VAE.first_stage_model")
def _(t):
    assert isinstance(t.vae.first_stage_model, torch.nn.Module)


class Use:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "name": ("STRING", {}), "model": ("MODEL",), "clip": ("CLIP",), "vae": ("VAE",),
                "lora": ("STRING", {}), "control": ("STRING", {}), "upscaler": ("STRING", {}),
            },
            "hidden": {"id": "UNIQUE_ID"},
        }  # fmt: skip

    RETURN_TYPES = ("STRING",)
    FUNCTION = "use"
    OUTPUT_NODE = True
    CATEGORY = "popular"

    def use(self, name, model, clip, vae, **more):
        def cond(text="a red circle"):
            return clip.encode_from_tokens_scheduled(clip.tokenize(text))

        path = folder_paths.get_full_path("checkpoints", CKPT)
        USES[name](SimpleNamespace(model=model, clip=clip, vae=vae, cond=cond, path=path, **more))
        return {"ui": {"text": [name]}, "result": (name,)}


NODE_CLASS_MAPPINGS = {"Popular Use": Use}
