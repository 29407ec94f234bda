"""``io`` under its inner name."""

from engine.comfy.faces.comfy_api.latest.io import *  # noqa: F403
from engine.comfy.faces.comfy_api.latest.io import __getattr__ as __getattr__
