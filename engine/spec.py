"""What the engine knows of a node type: plain data and one ``call``. Made by ``@node``, or by hand for foreign classes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from engine.folders import Folders
    from engine.run import Run

Scalar = str | int | float | bool
Lane = Literal["device", "io"]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Folder:
    """The choices are the files of a model folder ("checkpoints", "loras" ...), or of "input". Their content joins the key."""

    name: str
    extra: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()

    def __call__(self, folders: Folders) -> Sequence[str]:
        return [*self.extra, *folders.names(self.name, self.suffixes)]


Choices = Sequence[Scalar] | Callable[["Folders"], Sequence[Scalar]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An input. ``widget`` says that a literal may be typed in; every port may be linked."""

    name: str
    type: str
    required: bool = True
    default: Any = MISSING
    widget: bool = False
    lazy: bool = False
    raw: bool = False
    choices: Choices | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def must_be_given(self) -> bool:
        return self.required and self.default is MISSING


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    type: str
    is_list: bool = False
    tooltip: str = ""
    choices: Sequence[Scalar] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """The ``output``-th result of ``node``; ``inner``: of a node in the same expansion."""

    node: str
    output: int = 0
    inner: bool = False

    def out(self, output: int) -> Link:
        """Another output of the same node."""
        return Link(self.node, output, self.inner)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A value that stops whatever consumes it. With a message, the user is told."""

    message: str | None = None


@dataclass(frozen=True, slots=True)
class Expand:
    """New steps that take a node's place: API-format nodes by id, and where each of its outputs now comes from.

    Inputs may be literals, live values, or links: ``Link`` or ``["id", 0]``, to a new id or to one of the prompt.
    """

    nodes: Mapping[str, Mapping[str, Any]]
    results: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """A live value whose content is known by its print: in a new node's input it makes the key that its content deserves."""

    value: Any
    print: str


@dataclass(frozen=True, slots=True)
class Declared:
    """An input as editors are told of it: a list that grows or a choice that brings inputs is one, whatever ports it makes.

    ``type`` None means as its port says.
    """

    name: str
    required: bool
    type: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


Outcome = tuple[Any, ...] | Expand | Blocked
Call = Callable[[Mapping[str, Any], "Run"], Outcome | Awaitable[Outcome]]


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """A node type.

    ``call(inputs, run)`` gives one value an output, a list where the output ``is_list``. With ``input_is_list`` every input
    arrives as a list. An async ``call`` runs on the loop, any other on its ``lane``. Lazy inputs arrive as ``Lazy`` in native
    nodes; a foreign one names those it still needs in ``needs`` (asked again until it names none), others are None.
    ``validate(literals, linked types)`` gives what is wrong; names in ``checks_itself`` skip the usual checks.
    """

    type: str
    call: Call
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Output, ...] = ()
    title: str = ""
    category: str = ""
    description: str = ""
    module: str = "nodes"
    output_node: bool = False
    input_is_list: bool = False
    is_async: bool = False
    lane: Lane = "device"
    dynamic: Port | None = None
    version: str = ""
    keyed_by_id: bool = False
    retry: bool = True
    fingerprint: Callable[[Mapping[str, Any], Run], Any] | None = None
    validate: Callable[[Mapping[str, Any], Mapping[str, str]], Any] | None = None
    checks_itself: frozenset[str] = frozenset()
    checks_types: bool = False
    needs: Callable[[Mapping[str, Any], Run], Any] | None = None
    hidden: Mapping[str, str] = field(default_factory=dict)
    deprecated: bool = False
    experimental: bool = False
    dev_only: bool = False
    api_node: bool = False
    search_aliases: tuple[str, ...] = ()
    essentials_category: str | None = None
    intermediate_output: bool = False
    declared: tuple[Declared, ...] = ()  # as editors are told, where that is not a port each

    @cached_property
    def ports(self) -> Mapping[str, Port]:
        """The inputs by name."""
        return {port.name: port for port in self.inputs}

    @cached_property
    def files(self) -> tuple[Port, ...]:
        """The inputs whose value names a file."""
        return tuple(port for port in self.inputs if isinstance(port.choices, Folder))

    @cached_property
    def prints(self) -> bool:
        """Whether the result depends on more than the prompt."""
        return bool(self.files) or self.fingerprint is not None

    def port(self, name: str) -> Port | None:
        """The input called ``name``, if there is one or the node takes any."""
        return self.ports.get(name, self.dynamic)
