"""``@node``: a typed function becomes a node. Its signature is the schema, its docstring the help text; it stays a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar

from engine.run import CancelledError, Run
from engine.spec import Blocked, Choices, Expand, Folder, Lane, Link

__all__ = [
    "Advanced", "Blocked", "CancelledError", "Choose", "ControlAfterGenerate", "Doc", "DynamicPrompts", "Expand", "Folder",
    "ForceInput", "Labels", "Lazy", "Link", "Many", "Multiline", "Name", "OptionalInput", "Options", "Placeholder", "RawLink",
    "Round", "Run", "Seed", "Slider", "Step", "Subgraph", "Upload", "node",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """ComfyUI's input options by name, for those that have no word of their own below."""

    values: Mapping[str, Any]


@dataclass(frozen=True)
class Name:
    """What the input is called on the wire, where that is no Python name: ``from_: Annotated[int, Name("from")]``."""

    name: str


@dataclass(frozen=True)
class Choose:
    """Choices that are looked up when they are served: ``Annotated[str, Choose(lambda folders: [...])]``."""

    choices: Choices


@dataclass(frozen=True)
class Mark:
    """Says what kind of input it is: optional, raw, many."""

    what: str


def Step(size: float) -> Options:
    return Options({"step": size})


def Round(to: float | Literal[False]) -> Options:
    return Options({"round": to})


def Doc(text: str) -> Options:
    return Options({"tooltip": text})


def Placeholder(text: str) -> Options:
    return Options({"placeholder": text})


def Multiline(dynamic_prompts: bool = False) -> Options:
    return Options({"multiline": True, "dynamicPrompts": True} if dynamic_prompts else {"multiline": True})


def DynamicPrompts() -> Options:
    return Options({"dynamicPrompts": True})


def ControlAfterGenerate() -> Options:
    return Options({"control_after_generate": True})


def Upload(kind: Literal["image", "video", "audio"]) -> Options:
    return Options({f"{kind}_upload": True})


def Slider() -> Options:
    return Options({"display": "slider"})


def Labels(on: str, off: str) -> Options:
    return Options({"label_on": on, "label_off": off})


def Advanced() -> Options:
    return Options({"advanced": True})


def ForceInput() -> Options:
    """A value that can only be linked, never typed in."""
    return Options({"forceInput": True})


def OptionalInput() -> Mark:
    """List the input among ComfyUI's optional ones though it has a default that is not None."""
    return Mark("optional")


def RawLink() -> Mark:
    """Hand the node the ``Link`` itself, unevaluated: for use in an ``Expand``."""
    return Mark("raw")


@dataclass(frozen=True)
class Range:
    """``Field(ge=, le=)`` without loading pydantic."""

    ge: int
    le: int


Seed: TypeAlias = Annotated[int, Range(0, 2**64 - 1), ControlAfterGenerate()]
Many: TypeAlias = Annotated[list[T], Mark("many")]
"""A whole list: as an input, every item at once instead of one call an item; as an output, items for one call each."""


class Lazy(Generic[T]):
    """An input that is computed when it is awaited, and not at all otherwise. ``Lazy(3)`` is a ready one, for tests."""

    def __init__(self, value: T | None = None, pull: Callable[[], Awaitable[T]] | None = None) -> None:
        self._value, self._pull = value, pull

    def __await__(self) -> Generator[Any, None, T]:
        if self._pull is None:
            return self._value  # type: ignore[return-value]
            yield
        return (yield from self._pull().__await__())


class Subgraph:
    """Collects the nodes of an ``Expand``: ``g.add("VAEDecode", samples=g.add(...), vae=vae)``."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}

    def add(self, type_name: str, id: str | None = None, **inputs: Any) -> Link:
        """A new node; the link to its first output. Values may be links, literals or live objects."""
        name = id if id is not None else str(len(self.nodes) + 1)
        if name in self.nodes:
            raise ValueError(f"The subgraph already has a node {name!r}")
        self.nodes[name] = {"class_type": type_name, "inputs": inputs}
        return Link(name, 0, inner=True)

    def expand(self, *results: Any) -> Expand:
        return Expand(self.nodes, results)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What ``@node`` was told; the rest is in the signature."""

    type: str
    category: str
    title: str
    output: bool
    outputs: tuple[str, ...]
    output_tooltips: tuple[str, ...]
    lane: Lane
    fingerprint: Callable[..., Any] | None
    validate: Callable[..., Any] | None
    keyed_by_id: bool
    retry: bool
    flags: Mapping[str, Any] = field(default_factory=dict)


def node(
    type: str,
    *,
    category: str,
    title: str = "",
    output: bool = False,
    outputs: Sequence[str] = (),
    output_tooltips: Sequence[str] = (),
    lane: Lane = "device",
    fingerprint: Callable[..., Any] | None = None,
    validate: Callable[..., Any] | None = None,
    keyed_by_id: bool = False,
    retry: bool = True,
    deprecated: bool = False,
    experimental: bool = False,
    search_aliases: Sequence[str] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make the function below a node of this ``type``.

    ``outputs`` names the outputs where the field names of the returned NamedTuple (or the wire names) will not do.
    ``fingerprint`` gets the params it names and returns what else the result depends on; NaN means run every time. Files chosen
    from a ``Folder`` need none. ``validate`` gets the params it names and returns what is wrong with them, or None.
    """
    flags = {"deprecated": deprecated, "experimental": experimental, "search_aliases": tuple(search_aliases)}
    declaration = Declaration(
        type=type, category=category, title=title, output=output, outputs=tuple(outputs), output_tooltips=tuple(output_tooltips),
        lane=lane, fingerprint=fingerprint, validate=validate, keyed_by_id=keyed_by_id, retry=retry, flags=flags,
    )  # fmt: skip

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        function.__node__ = declaration  # type: ignore[attr-defined]
        return function

    return declare
