"""Every workflow that ships draws its picture on the model that ships; a saved picture draws itself again."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from engine.cache import Cache
from engine.commands.run import read_workflow
from engine.executors.local import LocalExecutor
from engine.folders import MODEL_FOLDERS, Folders
from engine.graph import build
from engine.problems import GraphError
from engine.prompt import Prompt
from engine.registry import load
from engine.run import Job
from engine.settings import Settings
from engine.spec import Folder

PROJECT = Path(__file__).resolve().parents[1]
HELLO = PROJECT / "workflows" / "hello.json"
SHIPPED = sorted((PROJECT / "workflows").glob("*.json"))
WITH_YOUR_MODELS = sorted((PROJECT / "workflows" / "your-models").glob("*.json"))


class Studio:
    """One executor and one set of loaded models for all tests of the module."""

    def __init__(self, output: Path) -> None:
        from engine.diffusion.residency import Residency

        self.registry = load()
        self.specs = self.registry.specs
        self.folders = Folders(output=output, temp=output / "temp")
        self.executor = LocalExecutor(self.specs, Cache(500_000_000))
        self.residency = functools.cache(Residency)

    def read(self, path: Path) -> Prompt:
        return read_workflow(path, Settings(), self.registry, self.folders)

    def draw(self, path: Path) -> list[Path]:
        prompt = self.read(path)
        job = Job(id=uuid.uuid4().hex, prompt=prompt.raw, extra=prompt.extra, folders=self.folders, residency=self.residency)
        results = self.executor.run_sync(build(prompt, self.specs, self.folders), job)
        shown = [image for ui in results.ui.values() for image in ui.get("images", [])]
        return [self.folders.work(image["type"]) / image["subfolder"] / image["filename"] for image in shown]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    made = Studio(tmp_path_factory.mktemp("output"))
    with made.executor:
        yield made


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(PILImage.open(path))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_workflow_draws_a_picture(path: Path, studio: Studio) -> None:
    pictures = studio.draw(path)
    assert pictures, "it saves nothing"
    for picture in pictures:
        drawn = pixels(picture)
        assert drawn.ndim == 3
        assert min(drawn.shape[:2]) >= 128
        assert drawn.std() > 15, "flat, or noise-free grey: nothing was drawn"
        assert np.abs(np.diff(drawn.astype(np.float32), axis=0)).mean() < 30, "noise: sampling did not converge"


@pytest.mark.parametrize("path", WITH_YOUR_MODELS, ids=lambda path: path.stem)
def test_a_workflow_for_models_of_your_own_is_complete_but_for_their_files(path: Path, studio: Studio, tmp_path: Path) -> None:
    """With files of the names it asks for it is a graph without a problem; without them each one is named."""
    prompt = studio.read(path)
    missing = Folders(base=tmp_path, input=PROJECT / "input")
    with pytest.raises(GraphError) as found:
        build(prompt, studio.specs, missing)
    problems = found.value.problems
    assert all(problem.error == "value_not_in_list" and problem.input for problem in problems), [str(p) for p in problems]
    for step in prompt.raw.values():
        for port in studio.specs[step["class_type"]].inputs:
            if isinstance(port.choices, Folder) and port.choices.name in MODEL_FOLDERS:
                file = tmp_path / "models" / port.choices.name / step["inputs"][port.name]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
    assert build(prompt, studio.specs, Folders(base=tmp_path, input=PROJECT / "input")).steps


def test_the_files_of_techniques_are_what_the_tool_writes() -> None:
    from engine.workflow.definitions import describe_all
    from tools import technique_workflows

    for name, workflow in technique_workflows.laid_out(describe_all(load().specs, Folders())).items():
        path = PROJECT / "workflows" / f"{name}.json"
        assert workflow == json.loads(path.read_text(encoding="utf-8")), f"{path.name}: run python tools/technique_workflows.py"


def test_hello_shows_its_background(studio: Studio) -> None:
    """The prompt says "on a blue background": the corners are blue."""
    corners = pixels(studio.draw(HELLO)[0])[[4, 4, -5, -5], [4, -5, 4, -5]].astype(int)
    assert (corners[:, 2] > corners[:, 0] + 30).all()
    assert (corners[:, 2] > corners[:, 1] + 10).all()


def test_a_picture_draws_itself_again(studio: Studio) -> None:
    """hello.json -> PNG -> the prompt inside it -> PNG: equal pixels, equal prompt."""
    first = studio.draw(HELLO)[0]
    again = studio.draw(first)[0]
    assert np.array_equal(pixels(first), pixels(again))
    assert json.loads(PILImage.open(again).info["prompt"]) == json.loads(PILImage.open(first).info["prompt"])
