"""What a workflow tells of the models and packs it needs, and what is said where one of them is not here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.folders import ALIASES
from engine.model_hashes import ModelHashes
from engine.problems import GraphError, Problem

UNKNOWN = "missing_node_type"
GUESSES = ("Did you mean", "Install the pack")


@dataclass(frozen=True, slots=True)
class NamedModel:
    """``directory`` is the kind of model folder."""

    name: str
    directory: str
    sha256: str


def named_models(workflow: object) -> dict[str, NamedModel]:
    """By file name without folders, as ``properties.models`` of the nodes and ``models`` of the file tell them."""
    found: dict[str, NamedModel] = {}
    for entry in told(workflow):
        name, directory, digest = (entry.get(key) for key in ("name", "directory", "hash"))
        kind = str(entry.get("hash_type", "SHA256")).upper().replace("-", "")
        if isinstance(name, str) and isinstance(directory, str) and isinstance(digest, str) and kind == "SHA256":
            plain = digest.lower().removeprefix("sha256:").removeprefix("0x")
            found[last(name)] = NamedModel(name, ALIASES.get(directory, directory), plain)
    return found


def told(workflow: object) -> Iterator[Mapping[str, Any]]:
    """The entries on models, subgraphs included."""
    for graph in graphs(workflow):
        yield from entries(graph.get("models"))
        for node in entries(graph.get("nodes")):
            yield from entries(properties_of(node).get("models"))


def packs(workflow: object) -> dict[str, str]:
    """By node type the pack that has it: its name in ComfyUI's registry, else owner/repository."""
    found: dict[str, str] = {}
    for graph in graphs(workflow):
        for node in entries(graph.get("nodes")):
            pack = properties_of(node).get("cnr_id") or properties_of(node).get("aux_id")
            if isinstance(pack, str) and isinstance(node.get("type"), str):
                found[node["type"]] = pack[:200]
    return found


def graphs(workflow: object) -> Iterator[Mapping[str, Any]]:
    """The workflow and its subgraphs, those inside others too."""
    pending = [workflow] if isinstance(workflow, Mapping) else []
    while pending:
        graph = pending.pop()
        yield graph
        definitions = graph.get("definitions")
        pending += entries(definitions.get("subgraphs") if isinstance(definitions, Mapping) else None)


def properties_of(node: Mapping[str, Any]) -> Mapping[str, Any]:
    found = node.get("properties")
    return found if isinstance(found, Mapping) else {}


def entries(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def last(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1].lower()


def offer(error: GraphError, workflow: object, hashes: ModelHashes, seconds: float = 2.0) -> GraphError:
    """The error, its missing files offered by the names under which the same files are here, its unknown types with their packs.

    Nothing is put in their place.
    """
    return GraphError(offer_all(error.problems, workflow, hashes, seconds), error.dependents)


def offer_all(problems: Sequence[Problem], workflow: object, hashes: ModelHashes, seconds: float) -> Sequence[Problem]:
    named = named_models(workflow) if any(is_missing_file(problem) for problem in problems) else {}
    known = packs(workflow) if any(problem.error == UNKNOWN for problem in problems) else {}
    return [with_pack(offered(problem, named, hashes, seconds), known) for problem in problems]


def with_pack(problem: Problem, known: Mapping[str, str]) -> Problem:
    """An unknown type with where it is to be had, which is better than the nearest name, but not than a pack that is here."""
    pack = known.get(problem.type) if problem.error == UNKNOWN else None
    if pack is None or not problem.cure.startswith(GUESSES):
        return problem
    source = f"https://github.com/{pack}" if "/" in pack else "ADDRESS"
    words = f"The pack {pack} has it: python main.py packs add {source}"
    return replace(problem, cure=words, extra={**problem.extra, "pack": pack})


def is_missing_file(problem: Problem) -> bool:
    return problem.error == "value_not_in_list" and "nearest" in problem.extra


def offered(problem: Problem, named: Mapping[str, NamedModel], hashes: ModelHashes, seconds: float) -> Problem:
    wanted = named.get(last(str(problem.extra.get("received_value")))) if is_missing_file(problem) else None
    if wanted is None:
        return problem
    here, all_seen = hashes.find(wanted.directory, wanted.sha256, like=wanted.name, seconds=seconds)
    if here is not None:
        words = f"The same file is here as {here!r}: choose that."
        near: Sequence[str] = [here, *(name for name in problem.extra["nearest"] if name != here)]
        return replace(problem, cure=words, extra={**problem.extra, "nearest": list(near), "same_file": here})
    if not all_seen:
        return replace(problem, cure=f"{problem.cure} Files of other names are still being compared with it: ask again.".strip())
    return problem
