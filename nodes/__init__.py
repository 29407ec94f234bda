"""The nodes that ship: typed functions of about ten lines that call engine.diffusion."""
