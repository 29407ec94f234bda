"""PhotoMaker: people in prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NewType

from engine.node import Folder, Multiline, Run, node
from engine.types import Clip, Conditioning, Image

if TYPE_CHECKING:
    from engine.diffusion.photomaker import PhotoMaker as Photomaker
else:
    Photomaker = NewType("Photomaker", object)

Words = Annotated[str, Multiline(dynamic_prompts=True)]


@node("PhotoMakerLoader", category="_for_testing/photomaker", lane="io", experimental=True)
def photomaker_loader(photomaker_model_name: Annotated[str, Folder("photomaker")], *, run: Run) -> Photomaker:
    """The face encoder of a PhotoMaker file. The LoRA in the same file is for Load LoRA."""
    from engine.diffusion.photomaker import load

    return load(run.folders.find("photomaker", photomaker_model_name), run.place)


@node("PhotoMakerEncode", category="_for_testing/photomaker", experimental=True)
def photomaker_encode(photomaker: Photomaker, image: Image, clip: Clip, text: Words = "photograph of photomaker") -> Conditioning:
    """A prompt with a person in it: ``photomaker`` stands after the word that the face is to join, as in "a man photomaker"."""
    return Conditioning(photomaker.encode(clip, image, text))
