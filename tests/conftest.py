"""What all tests need before anything else."""

from __future__ import annotations

import os

from main import SPINS

# As main.py does: on a busy machine of few cores, spinning makes small tensors many times slower.
os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
