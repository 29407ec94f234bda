"""Node definitions as ``/object_info`` shows them, and short ways to write a workflow."""

from typing import Any

DEFS: dict[str, Any] = {
    "Loader": {
        "input": {"required": {"name": [["a.safetensors", "b.safetensors"], {}]}}, "display_name": "Load Checkpoint",
    },
    "Text": {"input": {"required": {"text": ["STRING", {"multiline": True}], "clip": ["CLIP"]}}},
    "Sampler": {
        "input": {
            "required": {
                "model": ["MODEL"], "seed": ["INT", {"default": 0, "control_after_generate": True}],
                "steps": ["INT", {"default": 20}],
                "cfg": ["FLOAT", {"default": 8.0}], "sampler_name": [["euler", "heun"]], "positive": ["CONDITIONING"],
                "latent": ["LATENT"],
            },
            "optional": {"denoise": ["FLOAT", {"default": 1.0}]},
        }
    },
    "Latent": {"input": {"required": {"width": ["INT", {"default": 512}], "height": ["INT", {"default": 512}]}}},
    "Lora": {"input": {"required": {"model": ["MODEL"], "clip": ["CLIP"], "strength": ["FLOAT", {"default": 1.0}]}}},
    "LoadImage": {"input": {"required": {"image": ["COMBO", {"options": ["a.png"], "image_upload": True}]}}},
    "Save": {"input": {"required": {"images": ["IMAGE,LATENT"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}}},
    "Any": {"input": {"required": {"value": ["*"]}}},
    "Resize": {
        "input": {
            "required": {
                "image": ["IMAGE"],
                "kind": ["COMFY_DYNAMICCOMBO_V3", {"options": [
                    {"key": "scale", "inputs": {"required": {"multiplier": ["FLOAT", {"default": 1.0}]}}},
                    {"key": "size", "inputs": {"required": {"width": ["INT", {}], "height": ["INT", {}]}}},
                ]}],
                "crop": ["BOOLEAN", {"default": False}],
            }
        }
    },
}  # fmt: skip
OUTPUTS = {
    "Loader": ["MODEL", "CLIP", "VAE"], "Text": ["CONDITIONING"], "Sampler": ["LATENT"], "Latent": ["LATENT"],
    "Lora": ["MODEL", "CLIP"],
    "LoadImage": ["IMAGE", "MASK"], "Reroute": ["*"], "PrimitiveNode": ["INT"], "Resize": ["IMAGE"],
    "SetNode": ["*"], "GetNode": ["*"],
}  # fmt: skip
Links = list[list[Any]]


def node(id: Any, kind: str, values: Any = None, inputs: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    """``inputs`` are (name, type, link) or (name, type, link, widget)."""
    found = [
        {"name": entry[0], "type": entry[1], "link": entry[2], **({"widget": {"name": entry[3]}} if len(entry) > 3 else {})}
        for entry in inputs or []
    ]
    outputs = [{"name": kind, "type": kind, "links": []} for kind in more.pop("outputs", OUTPUTS.get(kind, []))]
    return {
        "id": id, "type": kind, "pos": [0, 0], "size": [200, 100], "flags": {}, "order": 0, "mode": 0, "properties": {},
        "inputs": found, "outputs": outputs, **({} if values is None else {"widgets_values": values}), **more,
    }  # fmt: skip


def workflow(nodes: list[Any], links: Links, **more: Any) -> dict[str, Any]:
    return {"last_node_id": 99, "last_link_id": 99, "nodes": nodes, "links": links, "version": 0.4, **more}


def subgraph(id: str, nodes: list[Any], links: Links, inputs: list[Any], outputs: list[Any], **more: Any) -> dict[str, Any]:
    """``inputs`` and ``outputs`` are (name, type, [link ids])."""
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return {
        "id": id, "name": id, "version": 1, "nodes": nodes, "links": [dict(zip(names, link, strict=True)) for link in links],
        "inputs": [{"id": f"i{n}", "name": name, "type": kind, "linkIds": ids} for n, (name, kind, ids) in enumerate(inputs)],
        "outputs": [{"id": f"o{n}", "name": name, "type": kind, "linkIds": ids} for n, (name, kind, ids) in enumerate(outputs)],
        "inputNode": {"id": -10}, "outputNode": {"id": -20}, **more,
    }  # fmt: skip
