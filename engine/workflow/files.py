"""Reading a workflow from whatever holds it: either format, a picture, a film, a sound, or an infotext."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.workflow import infotext
from engine.workflow.document import WorkflowError, is_ui
from engine.workflow.layout import to_ui
from engine.workflow.media import read_media
from engine.workflow.reading import to_prompt
from engine.workflow.values import Info

MAX_BYTES = 50 * 2**20
JSON_ENDINGS = (".json", ".txt", "")


@dataclass(frozen=True, slots=True)
class Written:
    """What a file holds: a ``prompt`` (API format), a ``workflow`` (the editor's), or both."""

    prompt: Mapping[str, Any] | None = None
    workflow: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_prompt(self, definitions: Mapping[str, Info]) -> dict[str, Any]:
        """The API form. Of a picture, the prompt that made it; of a workflow, what its Run button would send."""
        if self.prompt is not None:
            return dict(self.prompt)
        assert self.workflow is not None
        return to_prompt(self.workflow, definitions)

    def as_workflow(self, definitions: Mapping[str, Info]) -> dict[str, Any]:
        """The editor's form, every field of the file kept; of a prompt, one laid out anew."""
        if self.workflow is not None:
            return dict(self.workflow)
        assert self.prompt is not None
        return to_ui(self.prompt, definitions)


def read_file(path: Path, limit: int = MAX_BYTES) -> Written:
    """The workflow in a file; WorkflowError where there is none."""
    if not path.is_file():
        raise WorkflowError(f"There is no file {str(path)!r}.")
    if path.suffix.lower() not in JSON_ENDINGS:
        found = read_media(path)
        if not found.keys() & {"prompt", "workflow", "parameters"}:
            raise WorkflowError(f"{path.name} says nothing of its making.")
        return from_metadata(found)
    if path.stat().st_size > limit:
        raise WorkflowError(f"{path.name} has {path.stat().st_size / 2**20:.4g} MB; a workflow has at most {limit / 2**20:.4g}.")
    return from_text(path.read_bytes().decode("utf-8-sig", "replace"))


def from_metadata(found: Mapping[str, Any]) -> Written:
    prompt, workflow = found.get("prompt"), found.get("workflow")
    extra = {key: value for key, value in found.items() if key != "prompt"}
    if isinstance(prompt, Mapping) or is_ui(workflow):
        return Written(prompt if isinstance(prompt, Mapping) and prompt else None, workflow if is_ui(workflow) else None, extra)
    if infotext.is_infotext(found.get("parameters")):
        return Written(infotext.to_prompt(found["parameters"]))
    raise WorkflowError("The metadata hold no workflow.")


def from_text(text: str) -> Written:
    """JSON of either format, or an infotext."""
    try:
        data = json.loads(text)
    except RecursionError:
        raise WorkflowError("The JSON is nested too deeply.") from None
    except ValueError as problem:
        if infotext.is_infotext(text):
            return Written(infotext.to_prompt(text))
        raise WorkflowError(f"Expected JSON, but it is none: {problem}.") from None
    return from_data(data)


def from_data(data: Any) -> Written:
    """A workflow, a prompt, or the body that a client sends with either in it."""
    if is_ui(data):
        return Written(workflow=data)
    if isinstance(data, Mapping):
        if is_ui(data.get("workflow")):
            return Written(workflow=data["workflow"])
        prompt = data.get("prompt")
        if isinstance(prompt, Mapping) and "class_type" not in prompt:
            carried = data.get("extra_data")
            extra = carried.get("extra_pnginfo") if isinstance(carried, Mapping) else None
            return Written(prompt, extra=extra if isinstance(extra, Mapping) else {})
        if data and all(isinstance(entry, Mapping) and "class_type" in entry for entry in data.values()):
            return Written(data)
    raise WorkflowError("Expected a workflow or a prompt, but the JSON is neither.")
