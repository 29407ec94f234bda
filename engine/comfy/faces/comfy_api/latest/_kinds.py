"""Inputs and outputs of V3 schemas, one class a type on the wire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, ClassVar

Declaration = tuple[Any, dict[str, Any]]


class NumberDisplay(str, Enum):  # noqa: UP042 as packs know it
    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(str, Enum):  # noqa: UP042
    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class FolderType(str, Enum):  # noqa: UP042
    input = "input"
    output = "output"
    temp = "temp"


class UploadType(str, Enum):  # noqa: UP042
    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class RemoteOptions:
    """Choices that the editor fetches from a route."""

    def __init__(self, route: str, refresh_button: bool, **more: Any) -> None:
        self.values = {"route": route, "refresh_button": refresh_button, **more}

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in self.values.items() if value is not None}


class Input:
    """An input that only a link can bring."""

    io_type = "*"
    grows: ClassVar[bool] = False
    names: ClassVar[dict[str, str]] = {}
    """Options whose name on the wire differs from their keyword."""

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: dict[str, Any] | None = None,
        raw_link: bool | None = None,
        advanced: bool | None = None,
        **options: Any,
    ) -> None:
        self.id, self.display_name, self.optional = id, display_name, optional
        self.options = {
            "display_name": display_name, "tooltip": tooltip, "lazy": lazy, "rawLink": raw_link, "advanced": advanced, **options,
        }  # fmt: skip
        self.extra = dict(extra_dict or {})

    def wire_type(self) -> Any:
        return self.io_type

    def as_dict(self) -> dict[str, Any]:
        """The options as ``/object_info`` has them."""
        found = {self.names.get(name, name): plain(value) for name, value in self.options.items() if value is not None}
        return {**found, **self.extra}

    def declared(self) -> Declaration:
        """As an editor is told of it: one input, however many ports it becomes."""
        return self.wire_type(), self.as_dict()

    def ports(self, prefix: str = "", optional: bool = False) -> Iterator[tuple[str, bool, Declaration]]:
        """(name, required, declaration) of every input this stands for."""
        yield prefix + self.id, not (self.optional or optional), (self.wire_type(), self.as_dict())


class WidgetInput(Input):
    """An input that may be typed in."""

    names: ClassVar[dict[str, str]] = {
        "force_input": "forceInput", "widget_type": "widgetType", "dynamic_prompts": "dynamicPrompts", "display_mode": "display",
    }  # fmt: skip

    def __init__(self, id: str, display_name: str | None = None, optional: bool = False, tooltip: str | None = None,
                 lazy: bool | None = None, default: Any = None, **options: Any) -> None:  # fmt: skip
        super().__init__(id, display_name, optional, tooltip, lazy, default=default, **options)


class Output:
    """An output; the name on the wire is its display name, else its type."""

    io_type = "*"
    choices: list[Any] | None = None

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
        **_: Any,
    ) -> None:
        self.id, self.display_name, self.tooltip, self.is_output_list = id, display_name, tooltip, is_output_list


class ComfyType:
    """What every type has: its name, and classes for inputs and outputs of it."""

    io_type = "*"
    Type: Any = object
    Input: type[Input] = Input
    Output: type[Output] = Output


def kind(io_type: str, base: type[Input] = Input, name: str | None = None) -> type[ComfyType]:
    """The type of that name on the wire."""
    own_input = type("Input", (base,), {"io_type": io_type})
    own_output = type("Output", (Output,), {"io_type": io_type})
    return type(name or io_type, (ComfyType,), {"io_type": io_type, "Input": own_input, "Output": own_output, "Type": object})


def plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, type) and issubclass(value, Enum):
        return [member.value for member in value]
    return value.as_dict() if isinstance(value, RemoteOptions) else value


class _ComboInput(WidgetInput):
    io_type = "COMBO"

    def __init__(self, id: str, options: Any = None, display_name: str | None = None, optional: bool = False,
                 tooltip: str | None = None, lazy: bool | None = None, default: Any = None, upload: UploadType | None = None,
                 image_folder: FolderType | None = None, multiselect: bool | None = None, **more: Any) -> None:  # fmt: skip
        super().__init__(id, display_name, optional, tooltip, lazy, default, image_folder=image_folder, **more)
        self.options["options"] = list(plain(options) or [])
        self.options["multiselect"] = multiselect
        if upload is not None:
            self.options[str(upload.value)] = True


class Combo(ComfyType):
    io_type = "COMBO"
    Input = _ComboInput

    class Output(Output):
        io_type = "COMBO"

        def __init__(self, id: str | None = None, display_name: str | None = None, options: Any = None, **more: Any) -> None:
            super().__init__(id, display_name, **more)
            self.choices = list(plain(options)) if options else None


class MultiCombo(ComfyType):
    io_type = "COMBO"

    class Input(_ComboInput):
        def __init__(self, id: str, options: Any = None, **more: Any) -> None:
            chip, placeholder = more.pop("chip", None), more.pop("placeholder", None)
            super().__init__(id, options, multiselect=True, chip=chip, placeholder=placeholder, **more)


class MultiType(ComfyType):
    """One of several types; given an input instead of a name, that input and other types besides."""

    class Input(Input):
        def __init__(self, id: str | Input, types: Sequence[Any], display_name: str | None = None, **more: Any) -> None:
            given = id if isinstance(id, Input) else None
            super().__init__(given.id if given else str(id), display_name or (given.display_name if given else None), **more)
            own = [given.io_type] if given else []
            self.io_type = ",".join(dict.fromkeys([*own, *(one.io_type for one in types)]))
            if given is not None:
                self.options = {**given.options, **{k: v for k, v in self.options.items() if v is not None}}
                self.names, self.optional = given.names, given.optional or self.optional  # type: ignore[misc]


class MatchType(ComfyType):
    """Inputs and outputs that are all of one type, whichever it is."""

    class Template:
        def __init__(self, template_id: str, allowed_types: Any = None) -> None:
            allowed = allowed_types if isinstance(allowed_types, list | tuple) else [allowed_types] if allowed_types else []
            self.template_id, self.io_type = template_id, ",".join(one.io_type for one in allowed) or "*"

    class Input(Input):
        def __init__(self, id: str, template: MatchType.Template, display_name: str | None = None, **more: Any) -> None:
            super().__init__(id, display_name, **more)
            self.io_type = template.io_type

    class Output(Output):
        def __init__(
            self, template: MatchType.Template, id: str | None = None, display_name: str | None = None, **m: Any
        ) -> None:
            super().__init__(id, display_name, **m)
            self.io_type = "*"


SHOWN = 8


def grouped(inputs: Sequence[Input]) -> dict[str, dict[str, Any]]:
    """Inputs by name in the groups of V1's form."""
    found: dict[str, dict[str, Any]] = {"required": {}, "optional": {}}
    for one in inputs:
        found["optional" if one.optional else "required"][one.id] = list(one.declared())
    return found


class Autogrow(ComfyType):
    """As many inputs of a kind as are linked; the node gets a dict of them."""

    class TemplatePrefix:
        def __init__(self, input: Input, prefix: str, min: int = 1, max: int = 10) -> None:
            self.input, self.min, self.prefix, self.max = input, min, prefix, max
            self.names = [f"{prefix}{i}" for i in range(max)]

        def as_dict(self) -> dict[str, Any]:
            return {"input": grouped([self.input]), "prefix": self.prefix, "min": self.min, "max": self.max}

    class TemplateNames:
        def __init__(self, input: Input, names: Sequence[str], min: int = 1) -> None:
            self.input, self.min, self.names = input, min, list(names)

        def as_dict(self) -> dict[str, Any]:
            return {"input": grouped([self.input]), "names": self.names, "min": self.min}

    class Input(Input):
        grows: ClassVar[bool] = True

        def __init__(self, id: str, template: Any, display_name: str | None = None, **more: Any) -> None:
            super().__init__(id, display_name, **more)
            self.template = template

        def declared(self) -> Declaration:
            return "COMFY_AUTOGROW_V3", {**self.as_dict(), "template": self.template.as_dict()}

        def ports(self, prefix: str = "", optional: bool = False) -> Iterator[tuple[str, bool, Declaration]]:
            inner = self.template.input
            for i, name in enumerate(self.template.names[: max(SHOWN, self.template.min)]):
                needed = i < self.template.min and not (self.optional or optional)
                yield f"{prefix}{self.id}.{name}", needed, (inner.wire_type(), inner.as_dict())


class DynamicCombo(ComfyType):
    """A choice that brings inputs of its own; the node gets a dict of both."""

    class Option:
        def __init__(self, key: str, inputs: Sequence[Input]) -> None:
            self.key, self.inputs = key, list(inputs)

    class Input(Input):
        grows: ClassVar[bool] = True

        def __init__(self, id: str, options: Sequence[DynamicCombo.Option], display_name: str | None = None, **m: Any) -> None:
            super().__init__(id, display_name, **m)
            self.choices = list(options)

        def declared(self) -> Declaration:
            options = [{"key": option.key, "inputs": grouped(option.inputs)} for option in self.choices]
            return "COMFY_DYNAMICCOMBO_V3", {**self.as_dict(), "options": options}

        def ports(self, prefix: str = "", optional: bool = False) -> Iterator[tuple[str, bool, Declaration]]:
            keys = [option.key for option in self.choices]
            yield prefix + self.id, not (self.optional or optional), ("COMBO", {**self.as_dict(), "options": keys})
            seen: set[str] = set()
            for option in self.choices:
                for inner in option.inputs:
                    for name, _, declaration in inner.ports(f"{prefix}{self.id}.", True):
                        if name not in seen:
                            seen.add(name)
                            yield name, False, declaration


Int = kind("INT", WidgetInput, "Int")
Float = kind("FLOAT", WidgetInput, "Float")
String = kind("STRING", WidgetInput, "String")
Boolean = kind("BOOLEAN", WidgetInput, "Boolean")
AnyType = kind("*", Input, "AnyType")
