"""A pack that tries everything it should not be able to do, when it is asked to."""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import folder_paths

SECRET = []


class Hostile:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"what": ("STRING", {"default": ""}), "where": ("STRING", {"default": ""})}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"
    CATEGORY = "hostile"
    OUTPUT_NODE = True

    def go(self, what, where):
        try:
            said = getattr(self, what)(where)
        except OSError as error:
            said = f"{type(error).__name__}: {os.strerror(error.errno) if error.errno else error}"
        return {"ui": {"text": [str(said)]}, "result": (str(said),)}

    def read(self, where):
        return Path(where).read_text()

    def listing(self, where):
        return os.listdir(where)

    def write(self, where):
        Path(where).write_text("was here")
        return "written"

    def connect(self, where):
        return socket.create_connection(("127.0.0.1", int(where)), timeout=1)

    def unix(self, where):
        s = socket.socket(socket.AF_UNIX)
        s.connect(where)
        return "connected"

    def fork(self, where):
        return os.fork()

    def run(self, where):
        return subprocess.run(["/bin/true"]).returncode

    def kill(self, where):
        return os.kill(int(where), signal.SIGTERM)

    def trace(self, where):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(16, int(where), 0, 0) < 0:
            raise OSError(ctypes.get_errno(), "")
        return "traced"

    def limits(self, where):
        return resource.prlimit(int(where), resource.RLIMIT_NOFILE, (0, 0))

    def shared(self, where):
        return Path("/dev/shm/hostile").write_text("was here")

    def cut(self, where):
        return os.truncate(where, 0)

    def memory(self, where):
        blocks = []
        for _ in range(40):
            blocks.append(bytearray(256 << 20))
        return len(blocks)

    def hang(self, where):
        while True:
            time.sleep(1)

    def crash(self, where):
        ctypes.string_at(0)

    def leave(self, where):
        raise SystemExit(3)

    def vanish(self, where):
        os._exit(7)

    def lie(self, where):
        for fd in [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]:
            with contextlib.suppress(OSError):
                os.write(fd, b"\xff" * 64)
        time.sleep(5)

    def thread(self, where):
        found = []
        thread = threading.Thread(target=lambda: found.append(1))
        thread.start()
        thread.join()
        return f"threads {len(found)}"

    def compute(self, where):
        import torch

        return float((torch.ones(64, 64) @ torch.ones(64, 64)).sum())


class Pictures:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    RETURN_TYPES = ("IMAGE", "THING")
    FUNCTION = "go"
    CATEGORY = "hostile"

    def go(self, image):
        return (image * 2, object())


class Models:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": (folder_paths.get_filename_list("loras"),)}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"
    CATEGORY = "hostile"
    OUTPUT_NODE = True

    def go(self, name):
        path = folder_paths.get_full_path_or_raise("loras", name)
        return {"ui": {"text": [Path(path).read_text()]}, "result": (name,)}


class Things:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"thing": ("THING",)}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"
    CATEGORY = "hostile"

    def go(self, thing):
        return (type(thing).__name__,)


class Check:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"what": ("STRING", {"default": ""})}}

    @classmethod
    def VALIDATE_INPUTS(cls, what):
        while what == "hang":
            time.sleep(1)
        return what != "odd" or "odd is not allowed"

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"
    CATEGORY = "hostile"

    def go(self, what):
        return (what,)


class Networks:
    """A model of its own, where none is given."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"optional": {"model": ("MODEL",)}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "go"
    CATEGORY = "hostile"

    def go(self, model=None):
        return (object() if model is None else model,)


NODES = (Models, Check, Pictures, Things, Networks)
NODE_CLASS_MAPPINGS = {"Hostile": Hostile, **{f"Hostile{node.__name__}": node for node in NODES}}
