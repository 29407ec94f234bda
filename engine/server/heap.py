"""Keeping the garbage collector's pauses short: what is loaded stays, so it need not be looked through again and again."""

import gc
import sys

MANY_MODULES = 100


class Heap:
    """Puts what loading made out of the collector's sight: a pass over it all takes 50 ms, in which nothing is answered."""

    def __init__(self) -> None:
        self._modules = 0

    def loaded(self) -> None:
        """Call when much has been loaded, and at the end of a job, which may have loaded more (torch, say)."""
        if len(sys.modules) < self._modules + MANY_MODULES:
            return
        if not self._modules:
            gc.collect()
        self._modules = len(sys.modules)
        gc.freeze()
