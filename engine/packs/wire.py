"""Values between a pack's process and ours: JSON, and one piece of shared memory for what is large. Never pickles.

What comes from the other side is not trusted: sizes are checked before anything is believed.
"""

from __future__ import annotations

import json
import math
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from engine.spec import Blocked, Expand, Link

HEAD = struct.Struct("!QB")
MAX_HEADER = 64 << 20
MAX_MEMORY = 8 << 30
ALIGNMENT = 64
DTYPES = frozenset({
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64", "complex128",
    "float8_e4m3fn", "float8_e5m2",
})  # fmt: skip
Keep = Callable[[Any], int]
Find = Callable[[int], Any]


class WireError(ValueError):
    """A value that cannot be sent, or a message that is none."""


class StaysError(WireError):
    """``value`` cannot leave this process."""

    def __init__(self, message: str, value: Any) -> None:
        super().__init__(message)
        self.value = value


class ClosedError(ConnectionError):
    """The other side is gone."""


def send(to: socket.socket, message: dict[str, Any], keep: Keep) -> None:
    """Send a message; ``keep`` gives a number to what has to stay on this side."""
    buffers: list[Any] = []
    text = _Packer(buffers, keep).pack(message)
    spans, size = [], 0
    for data in buffers:
        size = -(-size // ALIGNMENT) * ALIGNMENT
        spans.append((size, len(data)))
        size += len(data)
    header = json.dumps({"m": text, "s": spans}).encode()
    handles = []
    if size:
        memory = os.memfd_create("values", os.MFD_CLOEXEC)
        handles = [memory]
        os.ftruncate(memory, size)
        for data, (offset, _) in zip(buffers, spans, strict=True):
            _write(memory, data, offset)
    try:
        socket.send_fds(to, [HEAD.pack(len(header), bool(handles))], handles)
        to.sendall(header)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ClosedError(str(error)) from None
    finally:
        for handle in handles:
            os.close(handle)


def receive(source: socket.socket, find: Find) -> dict[str, Any]:
    """The next message; ``find`` gives what a number stands for."""
    head, handles, _, _ = socket.recv_fds(source, HEAD.size, 1)
    try:
        if len(head) < HEAD.size:
            head += _exactly(source, HEAD.size - len(head))
        length, has_memory = HEAD.unpack(head)
        if length > MAX_HEADER or bool(has_memory) != bool(handles):
            raise WireError("a message that is none")
        try:
            told = json.loads(_exactly(source, length))
            size = os.fstat(handles[0]).st_size if handles else 0
            spans = [(int(offset), int(count)) for offset, count in told["s"]]
            if size > MAX_MEMORY or any(offset < 0 or count < 0 or offset + count > size for offset, count in spans):
                raise WireError("a message whose memory is not what it says")
            message = _Unpacker(handles[0] if handles else -1, spans, find).unpack(told["m"])
        except (KeyError, TypeError, IndexError, AttributeError, RecursionError, ValueError) as error:
            raise WireError(f"a message that cannot be read: {error}") from None
        if not isinstance(message, dict):
            raise WireError("a message that is none")
        return message
    finally:
        for handle in handles:
            os.close(handle)


def _exactly(source: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = source.recv(min(count - len(data), 1 << 20))
        if not chunk:
            raise ClosedError("the other side is gone")
        data += chunk
    return bytes(data)


def _write(memory: int, data: Any, offset: int) -> None:
    view = memoryview(data).cast("B")
    while view:
        written = os.pwrite(memory, view[: 1 << 30], offset)
        view, offset = view[written:], offset + written


class _Packer:
    def __init__(self, buffers: list[Any], keep: Keep) -> None:
        self.buffers, self.keep = buffers, keep

    def pack(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if kind in (bytes, bytearray):
            return {"b": self.store(bytes(value))}
        if isinstance(value, Link):
            return {"link": [value.node, value.output, value.inner]}
        if isinstance(value, Blocked):
            return {"stop": value.message}
        if isinstance(value, Expand):
            return {"expand": [self.pack(dict(value.nodes)), self.pack(list(value.results))]}
        if isinstance(value, dict):
            return {"d": [[self.pack(key), self.pack(item)] for key, item in value.items()]}
        if isinstance(value, tuple):
            return {"t": [self.pack(item) for item in value]}
        if isinstance(value, list):
            return {"l": [self.pack(item) for item in value]}
        if isinstance(value, str | int | float):
            return str(value) if isinstance(value, str) else float(value) if isinstance(value, float) else int(value)
        if hasattr(value, "untyped_storage"):
            return self.tensor(value)
        return {"o": self.keep(value)}

    def tensor(self, value: Any) -> Any:
        import torch

        flat = value.detach().cpu().contiguous()
        data = flat.reshape(-1).view(torch.uint8).numpy() if flat.numel() else b""
        return {"x": [self.store(data), str(flat.dtype).removeprefix("torch."), list(flat.shape)]}

    def store(self, data: Any) -> int:
        self.buffers.append(data)
        return len(self.buffers) - 1


class _Unpacker:
    def __init__(self, memory: int, spans: list[tuple[int, int]], find: Find) -> None:
        self.memory, self.spans, self.find = memory, spans, find

    def unpack(self, told: Any) -> Any:
        if not isinstance(told, dict):
            if isinstance(told, list):
                raise WireError("a bare list")
            return told
        ((kind, value),) = told.items()
        match kind:
            case "l":
                return [self.unpack(item) for item in value]
            case "t":
                return tuple(self.unpack(item) for item in value)
            case "d":
                return {self.unpack(key): self.unpack(item) for key, item in value}
            case "b":
                return bytes(self.read(value))
            case "x":
                return self.tensor(*value)
            case "link":
                return Link(str(value[0]), int(value[1]), bool(value[2]))
            case "stop":
                return Blocked(None if value is None else str(value))
            case "expand":
                return Expand(self.unpack(value[0]), tuple(self.unpack(value[1])))
            case "o":
                return self.find(int(value))
        raise WireError(f"a value of unknown kind {kind!r}")

    def tensor(self, index: int, dtype: str, shape: list[int]) -> Any:
        import torch

        if dtype not in DTYPES or any(type(n) is not int or n < 0 for n in shape):
            raise WireError(f"a tensor of {dtype} {shape}")
        kind = getattr(torch, dtype)
        if math.prod(shape) * kind.itemsize != self.spans[index][1]:
            raise WireError("a tensor whose size is not its shape's")
        if not self.spans[index][1]:
            return torch.empty(shape, dtype=kind)
        data = torch.empty(self.spans[index][1], dtype=torch.uint8)
        self.read_into(index, memoryview(data.numpy().data))
        return data.view(kind).reshape(shape)

    def read(self, index: int) -> bytearray:
        data = bytearray(self.spans[index][1])
        self.read_into(index, memoryview(data))
        return data

    def read_into(self, index: int, view: memoryview) -> None:
        """A copy: the other side could change or cut off what it shares."""
        offset, _ = self.spans[index]
        while view:
            got = os.preadv(self.memory, [view[: 1 << 30]], offset)
            if not got:
                raise WireError("shared memory ended early")
            view, offset = view[got:], offset + got
