"""Where a run keeps its files: everything below one work folder, outside the repository."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The work folder's layout."""

    work: Path

    @classmethod
    def of(cls, a: argparse.Namespace) -> Paths:
        """From parsed options."""
        return cls(a.work)

    @property
    def packages(self) -> Path:
        """The icon packages, installed by npm."""
        return self.work / "node_modules" / "@iconify-json"

    @property
    def wheel(self) -> Path:
        """The ``open_clip_torch`` wheel, for CLIP's vocabulary."""
        found = sorted(self.work.glob("open_clip_torch-*.whl"))
        if not found:
            raise FileNotFoundError(f"{self.work}: expected open_clip_torch-*.whl there. See the README's first commands.")
        return found[0]

    @property
    def atlas(self) -> Path:
        """The drawn icons."""
        return self.work / "atlas.npz"

    @property
    def data(self) -> Path:
        """Pictures, what is in them, and their latents."""
        return self.work / "data"

    @property
    def vae(self) -> Path:
        """The trained VAE's state, with its latent statistics folded in."""
        return self.work / "vae" / "final.pt"


def add_paths(ap: argparse.ArgumentParser) -> None:
    """The option every command has."""
    ap.add_argument("--work", type=Path, default=Path("work"), help="folder for data and runs")
