"""Diffusion on torch alone: it knows nothing of graphs, nodes or HTTP."""
