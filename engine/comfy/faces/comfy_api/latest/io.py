"""``io``: schemas, node classes and types of V3 packs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from engine.comfy.faces.comfy_api.latest._kinds import (
    AnyType,
    Autogrow,
    Boolean,
    Combo,
    ComfyType,
    ControlAfterGenerate,
    DynamicCombo,
    Float,
    FolderType,
    Input,
    Int,
    MatchType,
    MultiCombo,
    MultiType,
    NumberDisplay,
    Output,
    RemoteOptions,
    String,
    UploadType,
    WidgetInput,
    kind,
)
from engine.comfy.finder import missing

__all__ = [
    "AnyType", "Autogrow", "Boolean", "Combo", "ComfyNode", "ComfyType", "ControlAfterGenerate", "Custom", "DynamicCombo",
    "Float", "FolderType",
    "Hidden", "HiddenHolder", "Input", "Int", "MatchType", "MultiCombo", "MultiType", "NodeInfoV1", "NodeOutput",
    "NodeReplace", "NumberDisplay", "Output", "PriceBadge",
    "PriceBadgeDepends", "RemoteOptions", "Schema", "String", "UploadType", "WidgetInput",
]  # fmt: skip
_missing = missing(__name__)

EDGES = {
    "Image": "IMAGE", "Mask": "MASK", "Latent": "LATENT", "Conditioning": "CONDITIONING", "Sampler": "SAMPLER",
    "Sigmas": "SIGMAS", "Noise": "NOISE", "Guider": "GUIDER", "Clip": "CLIP", "ControlNet": "CONTROL_NET",
    "Vae": "VAE", "Model": "MODEL",
    "ClipVision": "CLIP_VISION", "ClipVisionOutput": "CLIP_VISION_OUTPUT", "AudioEncoder": "AUDIO_ENCODER",
    "AudioEncoderOutput": "AUDIO_ENCODER_OUTPUT", "StyleModel": "STYLE_MODEL", "Gligen": "GLIGEN",
    "UpscaleModel": "UPSCALE_MODEL",
    "Audio": "AUDIO", "Video": "VIDEO", "SVG": "SVG", "LoraModel": "LORA_MODEL", "LossMap": "LOSS_MAP", "Voxel": "VOXEL",
    "Mesh": "MESH", "Hooks": "HOOKS", "HookKeyframes": "HOOK_KEYFRAMES", "TimestepsRange": "TIMESTEPS_RANGE",
    "LatentOperation": "LATENT_OPERATION", "FlowControl": "FLOW_CONTROL", "Accumulation": "ACCUMULATION",
    "Load3D": "LOAD_3D", "Load3DAnimation": "LOAD_3D_ANIMATION", "Load3DCamera": "LOAD3D_CAMERA", "Photomaker": "PHOTOMAKER",
    "Point": "POINT", "FaceAnalysis": "FACE_ANALYSIS", "BBOX": "BBOX", "SEGS": "SEGS", "ModelPatch": "MODEL_PATCH",
    "WanCameraEmbedding": "WAN_CAMERA_EMBEDDING", "Webcam": "WEBCAM", "Tracks": "TRACKS", "File3DAny": "FILE_3D",
    "ImageCompare": "IMAGECOMPARE", "Color": "COLOR", "BoundingBox": "BOUNDING_BOX", "Curve": "CURVE", "Range": "RANGE",
}  # fmt: skip
_made: dict[str, type[ComfyType]] = {}


def __getattr__(name: str) -> Any:
    if name in EDGES:
        if name not in _made:
            _made[name] = kind(EDGES[name], Input, name)
        return _made[name]
    return _missing(name)


def Custom(io_type: str) -> type[ComfyType]:
    """A type of a pack's own."""
    return kind(io_type)


class Hidden(str, Enum):  # noqa: UP042 as packs know it
    """What a node may be told besides its inputs."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


class HiddenHolder:
    """The type of ``cls.hidden``."""


class NodeInfoV1:
    """There to be imported."""


@dataclass
class NodeReplace:
    """Which node type took the place of an old one."""

    new_node_id: str
    old_node_id: str
    old_widget_ids: list[str] | None = None
    input_mapping: list[dict[str, Any]] | None = None
    output_mapping: list[dict[str, Any]] | None = None

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass
class PriceBadgeDepends:
    """What a price depends on."""

    widgets: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    input_groups: list[str] = field(default_factory=list)


@dataclass
class PriceBadge:
    """The price of a call to a paid service. Nothing here is paid for: it is kept, and not shown."""

    expr: str = ""
    depends_on: PriceBadgeDepends = field(default_factory=PriceBadgeDepends)
    engine: str = "jsonata"


@dataclass
class Schema:
    """What a node says of itself.

    ``price_badge`` and ``loop_boundary`` are kept and have no effect: a loop of a pack's own goes round by ``expand``.
    """

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_dev_only: bool = False
    is_api_node: bool = False
    price_badge: Any = None
    not_idempotent: bool = False
    enable_expand: bool = False
    accept_all_inputs: bool = False
    essentials_category: str | None = None
    has_intermediate_output: bool = False
    loop_boundary: str | None = None

    def __post_init__(self) -> None:
        self.inputs, self.outputs, self.hidden = list(self.inputs or []), list(self.outputs or []), list(self.hidden or [])
        self.outputs = [one() if isinstance(one, type) else one for one in self.outputs]
        if self.is_output_node:
            self.hidden += [one for one in (Hidden.prompt, Hidden.extra_pnginfo) if one not in self.hidden]

    def validate(self) -> None:
        """Every id once."""
        names = [one.id for one in self.inputs]
        if len(names) != len(set(names)):
            raise ValueError(f"{self.node_id}: two inputs have the same id ({', '.join(names)})")


class NodeOutput:
    """What ``execute`` returns: values, something to show, nodes to become, or why nothing follows."""

    def __init__(
        self, *args: Any, ui: Any = None, expand: Mapping[str, Any] | None = None, block_execution: str | None = None
    ) -> None:
        self.args, self.ui, self.expand, self.block_execution = args, ui, expand, block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        return self.args or None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NodeOutput:
        result = data.get("result") or ()
        args = tuple(result) if isinstance(result, list | tuple) else (result,)
        return cls(*args, ui=data.get("ui"), expand=data.get("expand"))

    @classmethod
    def from_any(cls, value: Any) -> NodeOutput:
        """Of whatever else a function may return."""
        if value is None:
            return cls()
        return cls.from_dict(value) if isinstance(value, Mapping) else cls(value)


class _NodeClass(type):
    """What V1 nodes have as attributes, read from the schema."""

    @property
    def RETURN_TYPES(cls) -> tuple[str, ...]:
        return tuple(one.io_type for one in cls.GET_SCHEMA().outputs)

    @property
    def RETURN_NAMES(cls) -> tuple[str, ...]:
        return tuple(one.display_name or one.io_type for one in cls.GET_SCHEMA().outputs)

    @property
    def OUTPUT_IS_LIST(cls) -> tuple[bool, ...]:
        return tuple(one.is_output_list for one in cls.GET_SCHEMA().outputs)

    @property
    def OUTPUT_TOOLTIPS(cls) -> tuple[str | None, ...]:
        return tuple(one.tooltip for one in cls.GET_SCHEMA().outputs)

    @property
    def INPUT_IS_LIST(cls) -> bool:
        return cls.GET_SCHEMA().is_input_list

    @property
    def OUTPUT_NODE(cls) -> bool:
        return cls.GET_SCHEMA().is_output_node

    @property
    def CATEGORY(cls) -> str:
        return cls.GET_SCHEMA().category

    @property
    def DESCRIPTION(cls) -> str:
        return cls.GET_SCHEMA().description

    def GET_SCHEMA(cls) -> Schema:
        """The schema, checked."""
        schema: Schema = cls.define_schema()  # type: ignore[attr-defined]
        schema.validate()
        return schema

    def INPUT_TYPES(cls, *args: Any) -> dict[str, Any]:
        """The inputs in V1's form, those that grow spelled out."""
        schema = cls.GET_SCHEMA()
        found: dict[str, Any] = {"required": {}}
        for one in schema.inputs:
            for name, required, declaration in one.ports():
                found.setdefault("required" if required else "optional", {})[name] = declaration
        if schema.hidden:
            found["hidden"] = {one.name: one.value for one in schema.hidden}
        return found


class ComfyNode(metaclass=_NodeClass):
    """A node without state: ``define_schema`` says what it is, ``execute`` does it."""

    FUNCTION = "EXECUTE_NORMALIZED"
    hidden: ClassVar[Any] = HiddenHolder()

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError(f"{cls.__name__} has no define_schema")

    @classmethod
    def execute(cls, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{cls.__name__} has no execute")

    @classmethod
    def validate_inputs(cls, **kwargs: Any) -> Any:
        return True

    @classmethod
    def fingerprint_inputs(cls, **kwargs: Any) -> Any:
        return None

    @classmethod
    def check_lazy_status(cls, **kwargs: Any) -> Any:
        return [name for name, value in kwargs.items() if value is None]

    @classmethod
    def EXECUTE_NORMALIZED(cls, *args: Any, **kwargs: Any) -> NodeOutput:
        result = cls.execute(*args, **kwargs)
        return result if isinstance(result, NodeOutput) else NodeOutput.from_any(result)
