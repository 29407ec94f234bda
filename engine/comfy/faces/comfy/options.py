"""Whether flags are read from the command line: they have been."""

from engine.comfy.finder import missing

__getattr__ = missing(__name__)
args_parsing = True


def enable_args_parsing(enable: bool = True) -> None:
    """Accepted; flags are read by the program."""
