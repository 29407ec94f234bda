"""A package without nodes."""
