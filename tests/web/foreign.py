"""Model files of families the shipped model does not belong to: headers alone, enough to be told apart."""

import json
import struct
from pathlib import Path

FILES = {
    "loras/flux-style.safetensors": {"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": [4, 3072]},
    "vae/sixteen.safetensors": {"decoder.conv_in.weight": [512, 16, 3, 3]},
}


def strange_models(home: Path) -> Path:
    """Writes them under ``home``; gives the settings file that adds their folders to the server's."""
    for name, shapes in FILES.items():
        path = home / "strange" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header = json.dumps(
            {key: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for key, shape in shapes.items()}
        ).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header)
    config = home / "strange.yaml"
    config.write_text(f"strange:\n  base_path: {home / 'strange'}\n  loras: loras\n  vae: vae\n")
    return config
