"""What lets ComfyUI's node packs in: their classes as NodeSpecs, their imports as faces over our engine.

Nobody imports this package but itself and the door in ``nodes/__init__.py``; the registry loads it by name when there is a
foreign pack.
"""

from engine.comfy.importing import specs_of_pack

__all__ = ["specs_of_pack"]
