"""Packs of nodes as files on a disk: which of them run, and how they come and go."""
