"""``ui``: what nodes show, and helpers that save it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.comfy.faces.comfy_api.latest._kinds import FolderType
from engine.comfy.finder import missing
from engine.comfy.host import current_run

__getattr__ = missing(__name__)


class SavedResult(dict[str, str]):
    """A file by name, sub-folder and folder."""

    def __init__(self, filename: str, subfolder: str, type: FolderType | str) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=str(getattr(type, "value", type)))
        self.filename, self.subfolder, self.type = filename, subfolder, type


class _Shown:
    """Items under one name."""

    def __init__(self, name: str, items: Sequence[Any], animated: bool = False) -> None:
        self.name, self.items, self.animated = name, list(items), animated

    def as_dict(self) -> dict[str, Any]:
        shown: dict[str, Any] = {self.name: [dict(item) if isinstance(item, dict) else item for item in self.items]}
        return {**shown, "animated": (True,)} if self.animated else shown


class SavedImages(_Shown):
    def __init__(self, results: Sequence[SavedResult], is_animated: bool = False) -> None:
        super().__init__("images", results, is_animated)


class SavedAudios(_Shown):
    def __init__(self, results: Sequence[SavedResult]) -> None:
        super().__init__("audio", results)


class PreviewText(_Shown):
    def __init__(self, value: Any, **_: Any) -> None:
        super().__init__("text", [str(value)])


class PreviewVideo(_Shown):
    def __init__(self, values: Sequence[Any], **_: Any) -> None:
        super().__init__("images", values, animated=True)


class PreviewImage(_Shown):
    """The pictures, saved as previews."""

    def __init__(self, image: Any, animated: bool = False, cls: Any = None, **_: Any) -> None:
        super().__init__("images", ImageSaveHelper.save_images(image, "ComfyUI_temp", FolderType.temp, cls), animated)


class PreviewMask(PreviewImage):
    """A mask as grey pictures."""

    def __init__(self, mask: Any, animated: bool = False, cls: Any = None, **_: Any) -> None:
        pictures = mask.reshape(-1, 1, *mask.shape[-2:]).movedim(1, -1).expand(-1, -1, -1, 3)
        super().__init__(pictures, animated, cls)


class ImageSaveHelper:
    """Pictures to numbered files with the workflow in them."""

    @staticmethod
    def save_images(
        images: Any, filename_prefix: str, folder_type: FolderType = FolderType.output, cls: Any = None, compress_level: int = 4
    ) -> list[SavedResult]:
        return save_pictures(images, filename_prefix, folder_type, picture_texts(current_run()), compress_level)

    @staticmethod
    def get_save_images_ui(images: Any, filename_prefix: str, cls: Any = None, compress_level: int = 4) -> SavedImages:
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix, FolderType.output, cls, compress_level))

    @staticmethod
    def save_animated_png(
        images: Any, filename_prefix: str, folder_type: FolderType, cls: Any, fps: float, compress_level: int
    ) -> SavedResult:
        from engine.diffusion.pixels.pictures import encode_apng

        data = encode_apng(images, fps, compress_level, picture_texts(current_run()))
        return _one(data, "png", filename_prefix, folder_type, images)

    @staticmethod
    def get_save_animated_png_ui(images: Any, filename_prefix: str, cls: Any, fps: float, compress_level: int) -> SavedImages:
        saved = ImageSaveHelper.save_animated_png(images, filename_prefix, FolderType.output, cls, fps, compress_level)
        return SavedImages([saved], is_animated=len(images) > 1)

    @staticmethod
    def save_animated_webp(images: Any, filename_prefix: str, folder_type: FolderType, cls: Any, fps: float, lossless: bool,
                           quality: int, method: int) -> SavedResult:  # fmt: skip
        from engine.diffusion.pixels.pictures import encode_webp

        data = encode_webp(images, fps, lossless, quality, method, picture_texts(current_run()))
        return _one(data, "webp", filename_prefix, folder_type, images)

    @staticmethod
    def get_save_animated_webp_ui(images: Any, filename_prefix: str, cls: Any, fps: float, lossless: bool, quality: int,
                                  method: int) -> SavedImages:  # fmt: skip
        given = FolderType.output, cls, fps, lossless, quality, method
        saved = ImageSaveHelper.save_animated_webp(images, filename_prefix, *given)
        return SavedImages([saved], is_animated=len(images) > 1)


class AudioSaveHelper:
    """Sounds to numbered files: WAV, which needs no encoder."""

    @staticmethod
    def save_audio(audio: Any, filename_prefix: str, folder_type: FolderType, cls: Any = None, format: str = "wav",
                   quality: str = "128k") -> list[SavedResult]:  # fmt: skip
        """One file for each sound of a batch, 16 bits a sample."""
        if format != "wav":
            raise NotImplementedError(f"Packs can save sounds as wav, not as {format}. docs/packs.md")
        return [_one(_wav(sound, audio["sample_rate"]), "wav", filename_prefix, folder_type, None) for sound in audio["waveform"]]

    @staticmethod
    def get_save_audio_ui(
        audio: Any, filename_prefix: str, cls: Any = None, format: str = "wav", quality: str = "128k"
    ) -> SavedAudios:
        return SavedAudios(AudioSaveHelper.save_audio(audio, filename_prefix, FolderType.output, cls, format, quality))


class PreviewAudio(SavedAudios):
    """A sound, saved as a preview."""

    def __init__(self, audio: Any, cls: Any = None, **_: Any) -> None:
        super().__init__(AudioSaveHelper.save_audio(audio, "ComfyUI_temp", FolderType.temp, cls))


class PreviewUI3D(_Shown):
    """A model file, with where it is looked at from."""

    def __init__(self, model_file: str, camera_info: Any = None, **more: Any) -> None:
        super().__init__("result", [model_file, camera_info, more.get("bg_image_path")])


def _one(data: bytes, ending: str, prefix: str, folder_type: FolderType, images: Any) -> SavedResult:
    kind = str(getattr(folder_type, "value", folder_type))
    size = {"width": images.shape[2], "height": images.shape[1]} if images is not None else {}
    saved = current_run().save(data, ending, prefix=prefix, kind=kind, **size)
    return SavedResult(saved.filename, saved.subfolder, saved.type)


def _wav(sound: Any, rate: int) -> bytes:
    """(C, T) in -1..1."""
    import io
    import wave

    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(sound.shape[0])
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((sound.clamp(-1, 1) * 32767).round().short().T.contiguous().numpy().tobytes())
    return file.getvalue()


def save_pictures(
    images: Any, filename_prefix: str, folder_type: FolderType, texts: Mapping[str, str], compress_level: int
) -> list[SavedResult]:
    """Each picture as a numbered PNG with ``texts`` in it."""
    from engine.diffusion.pixels.pictures import encode_png

    run = current_run()
    kind = str(getattr(folder_type, "value", folder_type))
    found = []
    for image in images:
        data = encode_png(image, texts, compress_level)
        saved = run.save(data, "png", prefix=filename_prefix, kind=kind, width=image.shape[1], height=image.shape[0])
        found.append(SavedResult(saved.filename, saved.subfolder, saved.type))
    return found


def picture_texts(run: Any) -> Mapping[str, str]:
    """The prompt and what clients added, as text chunks of a PNG."""
    found: Mapping[str, str] = run.texts()
    return found
