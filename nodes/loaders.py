"""Models from files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from annotated_types import Interval

from engine.folders import Folders
from engine.node import Blocked, Choose, Folder, Run, Step, node
from engine.types import Clip, ClipVision, Model, Vae
from nodes.embeddings import embedding_finder
from nodes.reports import tiny_files

if TYPE_CHECKING:
    from engine.diffusion.checkpoints import Checkpoint


class LoadedCheckpoint(NamedTuple):
    model: Model
    clip: Clip | Blocked
    vae: Vae | Blocked


def parts_of(loaded: Checkpoint, name: str) -> LoadedCheckpoint:
    """What a loader hands on; a part the file lacks stops what needs it, with the cure."""
    cure = "Load one with Load CLIP and connect that instead."
    if loaded.family.text == "none":
        cure = f"{loaded.family.title} is shown pictures, not told words: use its own conditioning node for CLIP Text Encode."
    clip = loaded.clip or Blocked(f"{name} holds no text encoder. {cure}")
    vae = loaded.vae or Blocked(f"{name} holds no VAE. Load one with Load VAE and connect that instead.")
    return LoadedCheckpoint(loaded.model, clip, vae)


def tell(loaded: Checkpoint, run: Run) -> None:
    """Write on the node what the file is, and settings that give a decent picture at once."""
    from engine.diffusion.usage import sentence, settings

    family = loaded.family
    made_for = sentence(asdict(settings(family.defaults, loaded.metadata)))
    run.progress(1, 1, f"{family.title}, predicts {family.prediction.kind}. Try {made_for}.")


CheckpointName = Annotated[str, Folder("checkpoints")]


def velocity_beside(ckpt_name: str, run: Run) -> bool:
    """What a configuration beside the file says: the result depends on it, though the file stays the same."""
    from engine.diffusion.training_config import beside

    return beside(run.folders.find("checkpoints", ckpt_name))


@node(
    "CheckpointLoaderSimple",
    category="loaders",
    title="Load Checkpoint",
    outputs=("MODEL", "CLIP", "VAE"),
    lane="io",
    fingerprint=velocity_beside,
)
def checkpoint_loader_simple(ckpt_name: CheckpointName, *, run: Run) -> LoadedCheckpoint:
    """A model file: the denoiser, its text encoder and its VAE. What it is, is read from the file itself."""
    from engine.diffusion.checkpoints import load_checkpoint

    loaded = load_checkpoint(run.folders.find("checkpoints", ckpt_name), run.place, embedding_finder(run))
    tell(loaded, run)
    return parts_of(loaded, ckpt_name)


class LoadedSeeing(NamedTuple):
    model: Model
    clip: Clip | Blocked
    vae: Vae | Blocked
    clip_vision: ClipVision | Blocked


@node(
    "unCLIPCheckpointLoader",
    category="loaders",
    outputs=("MODEL", "CLIP", "VAE", "CLIP_VISION"),
    lane="io",
    fingerprint=velocity_beside,
)
def unclip_checkpoint_loader(ckpt_name: CheckpointName, *, run: Run) -> LoadedSeeing:
    """A model file with an image encoder in it, for prompts that are pictures."""
    from engine.diffusion.checkpoints import load_checkpoint

    loaded = load_checkpoint(run.folders.find("checkpoints", ckpt_name), run.place, embedding_finder(run))
    tell(loaded, run)
    return LoadedSeeing(*parts_of(loaded, ckpt_name), eye_of(loaded, ckpt_name))


class LoadedFilm(NamedTuple):
    model: Model
    clip_vision: ClipVision | Blocked
    vae: Vae | Blocked


@node(
    "ImageOnlyCheckpointLoader",
    category="loaders/video_models",
    title="Image Only Checkpoint Loader (img2vid model)",
    outputs=("MODEL", "CLIP_VISION", "VAE"),
    lane="io",
)
def image_only_checkpoint_loader(ckpt_name: CheckpointName, *, run: Run) -> LoadedFilm:
    """A model file whose prompts are pictures only: Stable Video Diffusion, Stable Zero123."""
    from engine.diffusion.checkpoints import load_checkpoint

    loaded = load_checkpoint(run.folders.find("checkpoints", ckpt_name), run.place)
    tell(loaded, run)
    return LoadedFilm(loaded.model, eye_of(loaded, ckpt_name), parts_of(loaded, ckpt_name).vae)


def eye_of(loaded: Checkpoint, name: str) -> ClipVision | Blocked:
    """The image encoder of a file; if it has none that stops what needs it, with the cure."""
    cure = "Load one with Load CLIP Vision and connect that instead."
    return loaded.clip_vision or Blocked(f"{name} holds no image encoder. {cure}")


@node(
    "CheckpointLoader",
    category="advanced/loaders",
    title="Load Checkpoint With Config (DEPRECATED)",
    outputs=("MODEL", "CLIP", "VAE"),
    lane="io",
    deprecated=True,
)
def checkpoint_loader(config_name: Annotated[str, Folder("configs")], ckpt_name: CheckpointName, *, run: Run) -> LoadedCheckpoint:
    """As Load Checkpoint. Of the config only the prediction and the layer of the text encoder count: the file says the rest."""
    from engine.diffusion.checkpoints import load_checkpoint

    path, config = run.folders.find("checkpoints", ckpt_name), run.folders.find("configs", config_name)
    loaded = load_checkpoint(path, run.place, embedding_finder(run), config)
    tell(loaded, run)
    return parts_of(loaded, ckpt_name)


def pipeline_folders(folders: Folders) -> list[str]:
    """The folders of models/diffusers that hold a whole pipeline."""
    return [name.removesuffix("/model_index.json") for name in folders.names("diffusers", ("/model_index.json",))]


def folder_print(model_path: str, run: Run) -> list[tuple[str, int, int]]:
    """Every file of the folder with its size and time: it is chosen by name, but its content is what counts."""
    folder = run.folders.find("diffusers", f"{model_path}/model_index.json").parent
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]


@node(
    "DiffusersLoader",
    category="advanced/loaders/deprecated",
    outputs=("MODEL", "CLIP", "VAE"),
    lane="io",
    fingerprint=folder_print,
)
def diffusers_loader(model_path: Annotated[str, Choose(pipeline_folders)], *, run: Run) -> LoadedCheckpoint:
    """A model as diffusers keeps it: a folder with a sub-folder for each part."""
    from engine.diffusion.pipeline_folder import load_folder

    index = run.folders.find("diffusers", f"{model_path}/model_index.json")
    loaded = load_folder(index.parent, run.place, embedding_finder(run))
    tell(loaded, run)
    return parts_of(loaded, model_path)


def velocity_beside_unet(unet_name: str, run: Run) -> bool:
    from engine.diffusion.training_config import beside

    return beside(run.folders.find("diffusion_models", unet_name))


@node("UNETLoader", category="advanced/loaders", title="Load Diffusion Model", lane="io", fingerprint=velocity_beside_unet)
def unet_loader(
    unet_name: Annotated[str, Folder("diffusion_models")],
    weight_dtype: Literal["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"] = "default",
    *,
    run: Run,
) -> Model:
    """A denoiser from a file of its own. Weights stay as stored; ``weight_dtype`` is kept for old workflows."""
    from engine.diffusion.checkpoints import load_denoiser

    loaded = load_denoiser(run.folders.find("diffusion_models", unet_name), run.place)
    tell(loaded, run)
    return loaded.model


@node("UnetLoaderGGUF", category="advanced/loaders", title="Unet Loader (GGUF)", lane="io", fingerprint=velocity_beside_unet)
def unet_loader_gguf(unet_name: Annotated[str, Folder("diffusion_models")], *, run: Run) -> Model:
    """A denoiser from a file of its own, as ComfyUI-GGUF calls it; Load Diffusion Model reads GGUF as well."""
    return unet_loader(unet_name, run=run)


@node(
    "UnetLoaderGGUFAdvanced",
    category="advanced/loaders",
    title="Unet Loader (GGUF/Advanced)",
    lane="io",
    fingerprint=velocity_beside_unet,
)
def unet_loader_gguf_advanced(
    unet_name: Annotated[str, Folder("diffusion_models")],
    dequant_dtype: Literal["default", "target", "float32", "float16", "bfloat16"] = "default",
    patch_dtype: Literal["default", "target", "float32", "float16", "bfloat16"] = "default",
    patch_on_device: bool = False,
    *,
    run: Run,
) -> Model:
    """The same; its options are kept for old workflows. Weights are unpacked and patched in float32."""
    return unet_loader(unet_name, run=run)


TINY = ("taesd", "taesdxl", "taesd3", "taef1")


@dataclass(frozen=True, slots=True)
class VaeFiles(Folder):
    """The files of models/vae, and each TAESD whose two files are in models/vae_approx."""

    def __call__(self, folders: Folders) -> list[str]:
        whole = [name for name in self.extra if len(tiny_files(folders, name)) == 2]
        return [*folders.names(self.name, self.suffixes), *whole]


@node("VAELoader", category="loaders", title="Load VAE", lane="io")
def vae_loader(vae_name: Annotated[str, VaeFiles("vae", TINY)], *, run: Run) -> Vae:
    """A VAE from a file of its own. Small, fast and nearly as good: ``taesd`` and its kin, with files in models/vae_approx."""
    from engine.diffusion.checkpoints import load_vae

    if vae_name in TINY:
        return load_tiny(vae_name, run)
    return load_vae(run.folders.find("vae", vae_name), run.place)


def load_tiny(name: str, run: Run) -> Vae:
    from engine.diffusion.autoencoder_tiny import load_pair

    paths = tiny_files(run.folders, name)
    missing = [f"{name}_{side}" for side in ("encoder", "decoder") if side not in paths]
    if missing:
        raise ValueError(f"{' and '.join(missing)} are not in models/vae_approx: put {name}'s two files there")
    return load_pair(name, paths, run.place)


TextEncoderName = Annotated[str, Folder("text_encoders")]
ClipKind = Literal[
    "stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart", "cosmos", "lumina2", "wan", "hidream",
    "chroma", "ace", "omnigen2", "qwen_image", "hunyuan_image",
]  # fmt: skip
DualClipKind = Literal["sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image"]
ClipDevice = Literal["default", "cpu"]


@node("CLIPLoader", category="advanced/loaders", title="Load CLIP", lane="io")
def clip_loader(
    clip_name: TextEncoderName, type: ClipKind = "stable_diffusion", device: ClipDevice = "default", *, run: Run
) -> Clip:
    """A text encoder from a file of its own."""
    from engine.diffusion.checkpoints import load_clip

    return load_clip([run.folders.find("text_encoders", clip_name)], type, run.place, embedding_finder(run))


@node("CLIPLoaderGGUF", category="advanced/loaders", title="CLIPLoader (GGUF)", lane="io")
def clip_loader_gguf(clip_name: TextEncoderName, type: ClipKind = "stable_diffusion", *, run: Run) -> Clip:
    """Load CLIP by the name ComfyUI-GGUF's workflows call it."""
    return clip_loader(clip_name, type, run=run)


@node("DualCLIPLoader", category="advanced/loaders", lane="io")
def dual_clip_loader(
    clip_name1: TextEncoderName, clip_name2: TextEncoderName, type: DualClipKind, device: ClipDevice = "default", *, run: Run
) -> Clip:
    """Two text encoders that a model listens to together."""
    from engine.diffusion.checkpoints import load_clip

    paths = [run.folders.find("text_encoders", name) for name in (clip_name1, clip_name2)]
    return load_clip(paths, type, run.place, embedding_finder(run))


@node("DualCLIPLoaderGGUF", category="advanced/loaders", title="DualCLIPLoader (GGUF)", lane="io")
def dual_clip_loader_gguf(clip_name1: TextEncoderName, clip_name2: TextEncoderName, type: DualClipKind, *, run: Run) -> Clip:
    """DualCLIPLoader by the name ComfyUI-GGUF's workflows call it."""
    return dual_clip_loader(clip_name1, clip_name2, type, run=run)


@node("HypernetworkLoader", category="loaders", lane="io")
def hypernetwork_loader(
    model: Model,
    hypernetwork_name: Annotated[str, Folder("hypernetworks")],
    strength: Annotated[float, Interval(ge=-10.0, le=10.0), Step(0.01)] = 1.0,
    *,
    run: Run,
) -> Model:
    """Put a hypernetwork on the model's attention."""
    from engine.diffusion.containers import read_tensors
    from engine.diffusion.edits.hypernetwork import Hypernetwork, read_hypernetwork

    file = read_tensors(run.folders.find("hypernetworks", hypernetwork_name))
    return model.with_edit(Hypernetwork(read_hypernetwork(file.tensors, file.metadata), strength))
