"""Native nodes as ComfyUI's classes, for packs that call them: ``VAEEncode().encode(vae, pixels)``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from engine.comfy.host import current_call, host
from engine.comfy.values import inward, outward
from engine.run import Run
from engine.spec import Blocked, Expand, NodeSpec
from engine.workflow.definitions import describe

METHODS: Mapping[str, str] = {
    "KSampler": "sample", "KSamplerAdvanced": "sample", "CheckpointLoaderSimple": "load_checkpoint",
    "CheckpointLoader": "load_checkpoint", "CLIPTextEncode": "encode", "CLIPSetLastLayer": "set_last_layer",
    "VAEDecode": "decode", "VAEEncode": "encode", "VAEEncodeForInpaint": "encode", "VAEDecodeTiled": "decode",
    "VAEEncodeTiled": "encode", "VAELoader": "load_vae", "EmptyLatentImage": "generate", "LatentUpscale": "upscale",
    "LatentUpscaleBy": "upscale", "SaveLatent": "save", "LoadLatent": "load", "LoadImage": "load_image",
    "LoadImageMask": "load_image", "ImageScale": "upscale", "ImageScaleBy": "upscale", "ImageInvert": "invert",
    "ImageBatch": "batch", "ImagePadForOutpaint": "expand_image", "EmptyImage": "generate",
    "ConditioningAverage": "addWeighted", "ConditioningCombine": "combine", "ConditioningConcat": "concat",
    "ConditioningSetArea": "append", "ConditioningSetAreaPercentage": "append", "ConditioningSetMask": "append",
    "ConditioningSetTimestepRange": "set_range", "ConditioningZeroOut": "zero_out", "ConditioningSetAreaStrength": "append",
    "InpaintModelConditioning": "encode", "LoraLoader": "load_lora", "LoraLoaderModelOnly": "load_lora_model_only",
    "ControlNetLoader": "load_controlnet", "DiffControlNetLoader": "load_controlnet", "ControlNetApply": "apply_controlnet",
    "ControlNetApplyAdvanced": "apply_controlnet", "UNETLoader": "load_unet", "CLIPLoader": "load_clip",
    "DualCLIPLoader": "load_clip", "CLIPVisionEncode": "encode", "CLIPVisionLoader": "load_clip",
    "StyleModelLoader": "load_style_model", "StyleModelApply": "apply_stylemodel", "unCLIPConditioning": "apply_adm",
    "SetLatentNoiseMask": "set_mask", "LatentComposite": "composite", "LatentBlend": "blend", "LatentRotate": "rotate",
    "LatentFlip": "flip", "LatentCrop": "crop", "LatentFromBatch": "frombatch", "RepeatLatentBatch": "repeat",
    "ImageUpscaleWithModel": "upscale", "UpscaleModelLoader": "load_model", "ImageScaleToTotalPixels": "upscale",
    "MaskToImage": "mask_to_image", "ImageToMask": "image_to_mask", "SolidMask": "solid", "InvertMask": "invert",
    "GrowMask": "expand_mask", "CropMask": "crop", "MaskComposite": "combine", "FeatherMask": "feather",
    "ImageCompositeMasked": "composite", "LatentCompositeMasked": "composite", "BasicScheduler": "get_sigmas",
    "KSamplerSelect": "get_sampler", "RandomNoise": "get_noise", "BasicGuider": "get_guider", "CFGGuider": "get_guider",
    "SamplerCustom": "sample", "SamplerCustomAdvanced": "sample",
}  # fmt: skip
"""What a class of ComfyUI's calls the function that does it; newer ones say ``execute``."""

ORDER: Mapping[str, tuple[str, ...]] = {
    "CLIPTextEncode": ("clip", "text"), "VAEDecode": ("vae", "samples"), "VAEDecodeTiled": ("vae", "samples"),
    "VAEEncode": ("vae", "pixels"), "VAEEncodeTiled": ("vae", "pixels"), "VAEEncodeForInpaint": ("vae", "pixels", "mask"),
    "InpaintModelConditioning": ("positive", "negative", "pixels", "vae", "mask"),
}  # fmt: skip
"""Where such a function's parameters begin in another order than its class declares its inputs."""


def class_of(spec: NodeSpec) -> Any:
    """A class that does what the native node does; the same one each time."""
    made = host().native_classes
    if spec.type not in made:
        made[spec.type] = make_class(spec)
    return made[spec.type]


def make_class(spec: NodeSpec) -> Any:
    if spec.type in ("SaveImage", "PreviewImage"):
        return output_classes()[spec.type]
    name = METHODS.get(spec.type, "execute")
    declared = [port.name for port in spec.inputs]
    first = ORDER.get(spec.type, ())
    words = [*first, *(word for word in declared if word not in first)]

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return perform(spec, {**dict(zip(words, args, strict=False)), **kwargs})

    info = describe(spec, host().folders)
    own: dict[str, Any] = {
        "INPUT_TYPES": classmethod(lambda cls: _tuples(describe(spec, host().folders)["input"])),
        "RETURN_TYPES": tuple(info["output"]), "RETURN_NAMES": tuple(info["output_name"]), "FUNCTION": name,
        "CATEGORY": spec.category, "OUTPUT_NODE": spec.output_node, "OUTPUT_IS_LIST": tuple(info["output_is_list"]),
        "DESCRIPTION": spec.description, "__doc__": spec.description, name: method,
    }  # fmt: skip
    if name != "execute":
        own["execute"] = method
    return type(spec.type, (), own)


def perform(spec: NodeSpec, given: Mapping[str, Any]) -> Any:
    """Call a native node on a pack's values; its results as a pack expects them."""
    inputs = {port.name: port.default for port in spec.inputs if port.required and not port.must_be_given}
    known = spec.ports if spec.dynamic is None else None
    inputs |= {name: outward(value) for name, value in given.items() if known is None or name in known}
    if spec.input_is_list:
        inputs = {name: [value] for name, value in inputs.items()}
    call = current_call()
    run = Run(job=call.run.job, node=call.run.node, type=spec.type, display=call.run.display) if call else Run()
    result = spec.call(inputs, run)
    if inspect.isawaitable(result):
        from engine.comfy.importing import waited

        result = waited(result)
    if isinstance(result, Blocked):
        return (result,) * len(spec.outputs)
    if isinstance(result, Expand):
        raise TypeError(f"{spec.type} becomes other nodes: it can be in a graph, but not be called")
    values = tuple(inward(value) for value in result)
    return {"ui": run.ui, "result": values} if run.ui else values


@cache
def output_classes() -> dict[str, Any]:
    """SaveImage and PreviewImage, which packs inherit from and whose fields they set."""
    from engine.comfy.faces.comfy_api.latest._kinds import FolderType
    from engine.comfy.faces.comfy_api.latest.ui import save_pictures
    from engine.metadata import texts

    class SaveImage:
        """Save pictures as PNG."""

        RETURN_TYPES: tuple[str, ...] = ()
        FUNCTION = "save_images"
        OUTPUT_NODE = True
        CATEGORY = "image"

        def __init__(self) -> None:
            self.output_dir = str(host().folders.work("output"))
            self.type, self.prefix_append, self.compress_level = "output", "", 4

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            prefix = ("STRING", {"default": "ComfyUI"})
            hidden = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
            return {"required": {"images": ("IMAGE",), "filename_prefix": prefix}, "hidden": hidden}

        def save_images(
            self, images: Any, filename_prefix: str = "ComfyUI", prompt: Any = None, extra_pnginfo: Any = None
        ) -> dict[str, Any]:
            kind = FolderType.temp if self.type == "temp" else FolderType.output
            written = {} if host().options.get("disable_metadata") else texts(prompt, extra_pnginfo)
            saved = save_pictures(images, filename_prefix + self.prefix_append, kind, written, self.compress_level)
            return {"ui": {"images": [dict(one) for one in saved]}}

    class PreviewImage(SaveImage):
        """Show pictures without keeping them."""

        def __init__(self) -> None:
            super().__init__()
            self.output_dir = str(host().folders.work("temp"))
            self.type, self.prefix_append, self.compress_level = "temp", "_temp", 1

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            hidden = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
            return {"required": {"images": ("IMAGE",)}, "hidden": hidden}

    return {"SaveImage": SaveImage, "PreviewImage": PreviewImage}


def _tuples(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        group: {name: tuple(entry) if isinstance(entry, list) else entry for name, entry in entries.items()}
        for group, entries in inputs.items()
    }
