"""Workflows that the tests and the benchmark draw. Nodes 1 to 7 of HELLO are txt2img:

checkpoint 1 -MODEL-> sampler 5 -> decode 6 -> save 7
             -CLIP-> prompts 2, 3 -> sampler     latent 4 -> sampler
"""

from typing import Any

JsonDict = dict[str, Any]
STEPS = 10
"""Of the samplers: as few as the demo model draws with and says nothing."""
Port = tuple[str, str]


class Sheet:
    """Writes a 0.4 workflow."""

    def __init__(self) -> None:
        self.nodes: list[JsonDict] = []
        self.links: list[list[Any]] = []
        self.groups: list[JsonDict] = []

    def node(
        self,
        kind: str,
        at: tuple[float, float],
        size: tuple[float, float],
        inputs: list[Port],
        outputs: list[Port],
        values: list[Any],
        **more: Any,
    ) -> int:
        number = len(self.nodes) + 1
        node = {
            "id": number,
            "type": kind,
            "pos": list(at),
            "size": list(size),
            "flags": {},
            "order": number - 1,
            "mode": 0,
            "inputs": [{"name": name, "type": type_, "link": None} for name, type_ in inputs],
            "outputs": [{"name": name, "type": type_, "links": [], "slot_index": i} for i, (name, type_) in enumerate(outputs)],
            "properties": {"Node name for S&R": kind},
            "widgets_values": values,
        }
        self.nodes.append(node | more)
        return number

    def link(self, source: int, slot: int, target: int, into: int) -> None:
        number = len(self.links) + 1
        kind = self.nodes[source - 1]["outputs"][slot]["type"]
        self.links.append([number, source, slot, target, into, kind])
        self.nodes[source - 1]["outputs"][slot]["links"].append(number)
        self.nodes[target - 1]["inputs"][into]["link"] = number

    def json(self) -> JsonDict:
        return {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": {},
            "version": 0.4,
        }


def txt2img(
    sheet: Sheet,
    x: float = 0,
    y: float = 0,
    checkpoint: str = "loom-demo.safetensors",
    prompt: str = "a red circle on a blue square",
) -> list[int]:
    """Seven nodes with their wires; returns the node numbers."""
    clip = [("clip", "CLIP")]
    cond = [("CONDITIONING", "CONDITIONING")]
    loader = sheet.node(
        "CheckpointLoaderSimple", (x, y), (300, 98), [], [("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")], [checkpoint]
    )
    yes = sheet.node("CLIPTextEncode", (x + 360, y - 40), (360, 140), clip, cond, [prompt])
    no = sheet.node("CLIPTextEncode", (x + 360, y + 140), (360, 120), clip, cond, ["blurry"])
    latent = sheet.node("EmptyLatentImage", (x, y + 300), (300, 106), [], [("LATENT", "LATENT")], [96, 96, 1])
    ports = [("model", "MODEL"), ("positive", "CONDITIONING"), ("negative", "CONDITIONING"), ("latent_image", "LATENT")]
    sampler = sheet.node(
        "KSampler", (x + 790, y - 40), (300, 290), ports, [("LATENT", "LATENT")], [1, "fixed", STEPS, 4.0, "euler", "normal", 1]
    )
    decode = sheet.node(
        "VAEDecode", (x + 790, y + 320), (200, 46), [("samples", "LATENT"), ("vae", "VAE")], [("IMAGE", "IMAGE")], []
    )
    save = sheet.node("SaveImage", (x + 1150, y - 40), (300, 330), [("images", "IMAGE")], [], ["test"])
    for wire in [
        (loader, 0, sampler, 0),
        (loader, 1, yes, 0),
        (loader, 1, no, 0),
        (yes, 0, sampler, 1),
        (no, 0, sampler, 2),
        (latent, 0, sampler, 3),
        (sampler, 0, decode, 0),
        (loader, 2, decode, 1),
        (decode, 0, save, 0),
    ]:
        sheet.link(*wire)
    return [loader, yes, no, latent, sampler, decode, save]


def refine(sheet: Sheet, block: list[int], x: float, y: float) -> None:
    """Two more samplers after that of a txt2img, and a decode: three nodes with ten wires."""
    loader, yes, no, _, before = block[:5]
    ports = [("model", "MODEL"), ("positive", "CONDITIONING"), ("negative", "CONDITIONING"), ("latent_image", "LATENT")]
    for i in range(2):
        values = [i, "fixed", STEPS, 4.0, "euler", "normal", 0.5]
        after = sheet.node("KSampler", (x + 360 * i, y), (300, 290), ports, [("LATENT", "LATENT")], values)
        for slot, (source, out) in enumerate([(loader, 0), (yes, 0), (no, 0), (before, 0)]):
            sheet.link(source, out, after, slot)
        before = after
    decode = sheet.node("VAEDecode", (x + 790, y), (200, 46), [("samples", "LATENT"), ("vae", "VAE")], [("IMAGE", "IMAGE")], [])
    sheet.link(before, 0, decode, 0)
    sheet.link(loader, 2, decode, 1)


def many(count: int, columns: int | None = None) -> JsonDict:
    """About ``count`` nodes with twice as many wires: txt2img refined twice, again and again, in a square."""
    sheet = Sheet()
    blocks = max(1, count // 10)
    wide = columns or max(1, round(blocks**0.5 * 0.8))
    last: list[int] | None = None
    for i in range(blocks):
        x, y = (i % wide) * 1600, (i // wide) * 960
        block = txt2img(sheet, x, y, prompt=f"picture {i}")
        refine(sheet, block, x, y + 460)
        if last is not None and i % wide:
            # Wires between blocks, as in a graph that shares its model.
            sheet.link(last[0], 0, block[4], 0)
            sheet.link(last[0], 1, block[1], 0)
        last = block
    tidy(sheet)
    return sheet.json()


def tidy(sheet: Sheet) -> None:
    """An input keeps one wire, the newest; drop the others."""
    newest = {(target, into): number for number, _, _, target, into, _ in sheet.links}
    gone = {link[0] for link in sheet.links if newest[link[3], link[4]] != link[0]}
    sheet.links = [link for link in sheet.links if link[0] not in gone]
    for node in sheet.nodes:
        for out in node["outputs"]:
            out["links"] = [number for number in out["links"] if number not in gone]


def _hello() -> JsonDict:
    sheet = Sheet()
    txt2img(sheet)
    return sheet.json()


HELLO = _hello()


def apart(*kinds: str) -> JsonDict:
    """Nodes of the kinds given without a wire, side by side, from a small table."""
    sheet = Sheet()
    for i, kind in enumerate(kinds):
        inputs, outputs, values, size = SHAPES[kind]
        sheet.node(kind, (i * 420, 0), size, inputs, outputs, list(values))
    return sheet.json()


SHAPES: dict[str, tuple[list[Port], list[Port], list[Any], tuple[float, float]]] = {
    "CheckpointLoaderSimple": ([], [("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")], ["loom-demo.safetensors"], (300, 98)),
    "EmptyLatentImage": ([], [("LATENT", "LATENT")], [96, 96, 1], (300, 106)),
    "KSampler": (
        [("model", "MODEL"), ("positive", "CONDITIONING"), ("negative", "CONDITIONING"), ("latent_image", "LATENT")],
        [("LATENT", "LATENT")],
        [1, "fixed", STEPS, 4.0, "euler", "normal", 1],
        (300, 290),
    ),
    "VAEDecode": ([("samples", "LATENT"), ("vae", "VAE")], [("IMAGE", "IMAGE")], [], (200, 46)),
    "ImageInvert": ([("image", "IMAGE")], [("IMAGE", "IMAGE")], [], (200, 30)),
    "LoadImage": ([], [("IMAGE", "IMAGE"), ("MASK", "MASK")], ["example.png", "image"], (300, 320)),
    "PreviewImage": ([("images", "IMAGE")], [], [], (260, 260)),
}
