"""What all tests need before anything else."""

from __future__ import annotations

import os

# Waiting threads sleep instead of spinning: on a busy machine of few cores, spinning makes small tensors many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
