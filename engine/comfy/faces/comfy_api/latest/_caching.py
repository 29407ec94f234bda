"""Caches of packs: they can be made and registered, and are not asked. The engine has a cache of its own, on disk too."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from engine.comfy.finder import missing

__getattr__ = missing(__name__)
log = logging.getLogger(__name__)


@dataclass
class CacheContext:
    """Which result is meant."""

    node_id: str = ""
    class_type: str = ""
    cache_key_hash: str = ""


@dataclass
class CacheValue:
    """A result."""

    outputs: list[Any] = field(default_factory=list)
    ui: Any = None


class CacheProvider:
    """What a pack inherits from."""

    async def on_lookup(self, context: CacheContext) -> CacheValue | None:
        """Never asked."""
        return None

    async def on_store(self, context: CacheContext, value: CacheValue) -> None:
        """Never told."""

    def should_cache(self, context: CacheContext, value: CacheValue | None = None) -> bool:
        return True


class Caching:
    """``api.caching``."""

    CacheProvider, CacheContext, CacheValue = CacheProvider, CacheContext, CacheValue

    async def register_provider(self, provider: Any) -> None:
        name = type(provider).__name__
        log.warning("the cache %s of a pack is not asked: results are kept by the engine (docs/packs.md)", name)

    async def unregister_provider(self, provider: Any) -> None:
        """There is nothing to take away."""
