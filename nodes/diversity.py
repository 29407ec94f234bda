"""How different the pictures of one prompt are: measured, compared between settings, and written down."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from annotated_types import Interval

from engine.node import Multiline, Run, Seed, Step, node
from engine.types import Clip, ClipVision, Diversity, Image, Model, Sampler, Sigmas, Timeline, Vae

CATEGORY = "sampling/diversity"
Side = Annotated[int, Interval(ge=64, le=4096), Step(8)]
PROMPTS = "a cat on a blue background\na house in the snow\na red car on a road\na watermelon on a white background"


class Measures(NamedTuple):
    vendi: float
    distance: float
    layout_distance: float


@node("MeasureVariety", category=CATEGORY, title="Measure Variety", search_aliases=("vendi", "lpips", "similarity"))
def measure_variety(images: Image, vae: Vae) -> Measures:
    """How different the pictures of a batch are: how many wholly different ones there are (Vendi score), and average distances.

    ``distance`` is of what the VAE sees at all scales, ``layout_distance`` of the pictures at 32 pixels a side.
    """
    from engine.diffusion.diversity import vae_features, variety

    return Measures(*variety(images, vae_features(vae, images)))


@node("DiversitySetting", category=CATEGORY, title="Diversity Setting")
def diversity_setting(
    name: str = "base",
    *,
    timeline: Timeline,
    sampler: Sampler,
    sigmas: Sigmas,
    clip: Clip,
    vae: Vae,
    prompts: Annotated[str, Multiline()] = PROMPTS,
    negative: str = "",
    seeds: Annotated[int, Interval(ge=2, le=256)] = 8,
    first_seed: Seed = 0,
    width: Side = 512,
    height: Side = 512,
    others: Diversity | None = None,
    judge: Model | None = None,
    clip_vision: ClipVision | None = None,
    clip_text: Clip | None = None,
    run: Run,
) -> Diversity:
    """Draw every prompt (one a line) with every seed by one timeline, and measure the pictures. Chain settings to compare them.

    ``judge``, best the base model, says how many pictures show their prompt rather than another of the list; ``clip_vision``
    adds CLIP's distance, and ``clip_text``, the text half of the same CLIP, the cosine of pictures and their prompt.
    """
    from engine.diffusion import diversity_run

    lines = tuple(line.strip() for line in prompts.splitlines() if line.strip())
    bench = diversity_run.Bench(
        clip, vae, lines, negative, seeds, first_seed, width, height, judge, clip_vision, clip_text, progress=run.progress
    )
    measured = bench.measure(diversity_run.Setting(name, timeline, sampler, sigmas))
    return (others or diversity_run.Diversity()).with_setting(lines, seeds, measured)


@node("DiversityReport", category=CATEGORY, title="Diversity Report", output=True, lane="io")
def diversity_report(diversity: Diversity, filename_prefix: str = "diversity/report", *, run: Run) -> None:
    """Save the comparison: a scatter and the pictures side by side as PNG, the numbers as JSON, all of it as one HTML page."""
    from engine.diffusion import diversity_report as report

    pictures = [report.scatter(diversity), report.contact_sheet(diversity)]
    shown = [
        run.save(report.png(picture), "png", prefix=filename_prefix, width=picture.width, height=picture.height)
        for picture in pictures
    ]
    files = [
        run.save(report.as_json(diversity), "json", prefix=filename_prefix),
        run.save(report.page(diversity).encode(), "html", prefix=filename_prefix),
    ]
    ui = {"images": shown, "files": reversed(files)}
    run.emit_ui(text=[report.summary(diversity)], **{name: [saved.ui() for saved in some] for name, some in ui.items()})
