"""The cache never outgrows its bound, keeps what is dear, and its disk tier gives back bit for bit what it got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cache import OBJECT_NBYTES, Cache, Result, nbytes
from engine.disk import Disk, NotPortable, packed, unpacked
from engine.items import Items
from engine.spec import Blocked

MB = 2**20


def block(megabytes: int) -> Result:
    return Result((np.zeros(megabytes * MB, dtype=np.uint8),))


def test_what_is_put_is_found() -> None:
    cache = Cache()
    cache.put(b"a", Result((1,), {"text": ["x"]}), 1.0)
    assert cache.get(b"a") == Result((1,), {"text": ["x"]})
    assert cache.get(b"b") is None
    assert (cache.hits, cache.misses) == (1, 1)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.floats(0, 10)), max_size=60))
@settings(deadline=None)
def test_the_bound_in_bytes_is_kept(puts: list[tuple[int, int, float]]) -> None:
    cache = Cache(max_bytes=8 * MB)
    for name, size, seconds in puts:
        cache.put(bytes([name]), block(size), seconds)
        assert cache.nbytes <= cache.max_bytes
        assert cache.nbytes == sum(entry.nbytes for entry in cache._entries.values())


def test_the_bound_in_entries_is_kept() -> None:
    cache = Cache(max_entries=3)
    for i in range(10):
        cache.put(bytes([i]), Result((i,)), 1.0)
    assert len(cache) == 3
    assert bytes([9]) in cache


def test_what_is_dear_stays_when_room_is_needed() -> None:
    cache = Cache(max_bytes=5 * MB)
    cache.put(b"dear", block(2), 10.0)
    for i in range(20):
        cache.put(bytes([i]), block(2), 0.01)
    assert b"dear" in cache


def test_what_is_dear_but_old_goes_at_last() -> None:
    cache = Cache(max_bytes=5 * MB)
    cache.put(b"dear", block(2), 0.1)
    for i in range(40):
        cache.put(bytes([i]), block(2), 0.01)
    assert b"dear" not in cache


def test_what_does_not_fit_is_not_kept() -> None:
    cache = Cache(max_bytes=MB)
    cache.put(b"small", Result((1,)), 1.0)
    cache.put(b"huge", block(3), 100.0)
    assert b"huge" not in cache
    assert b"small" in cache


def test_a_cache_of_no_bytes_keeps_nothing() -> None:
    cache = Cache(max_bytes=0)
    cache.put(b"a", Result((1,)), 1.0)
    assert len(cache) == 0


def test_shrinking_says_how_much_it_freed() -> None:
    cache = Cache()
    for i in range(4):
        cache.put(bytes([i]), block(1), 1.0)
    assert cache.shrink(2 * MB) >= 2 * MB
    cache.clear()
    assert (cache.nbytes, len(cache)) == (0, 0)


def test_nested_arrays_are_counted_once() -> None:
    array = np.zeros(MB, dtype=np.uint8)
    assert (
        nbytes(({"samples": array, "again": [array]}, [[array, {"pooled": np.zeros(MB, dtype=np.uint8)}]]))
        == 2 * MB + OBJECT_NBYTES
    )


def test_a_network_weighs_next_to_nothing() -> None:
    class Network:
        nbytes = 7 * 2**30

    assert nbytes((Network(),)) <= 4 * OBJECT_NBYTES


def test_ten_thousand_levels_of_nesting_are_counted() -> None:
    value: Any = 0
    for _ in range(10_000):
        value = [value]
    assert nbytes(value) == OBJECT_NBYTES


def tensors() -> list[Any]:
    import torch

    a = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    return [
        {"samples": a.T, "type": "x"},
        [(a.to(torch.bfloat16), {"pooled": a[0], "n": None})],
        Items([1, 2.5, True]),
        "text",
        a.half(),
    ]


def same(a: Any, b: Any) -> bool:
    import torch

    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


def test_packed_values_come_back_bit_for_bit() -> None:
    assert same(tensors(), unpacked(packed(tensors())))


@pytest.mark.parametrize("value", [object(), Blocked(), {1: 2}, lambda: 0, np.zeros(2)])
def test_what_means_nothing_to_another_process_is_not_written(value: Any, tmp_path: Path) -> None:
    with pytest.raises(NotPortable):
        packed([value])
    disk = Disk(tmp_path, MB, b"")
    disk.put(b"a", (value,), 9.0)
    assert b"a" not in disk


def test_a_restart_finds_what_was_dear(tmp_path: Path) -> None:
    Cache(disk=Disk(tmp_path, 10 * MB, b"")).put(b"a", Result(tuple(tensors())), 3.0)
    Cache(disk=Disk(tmp_path, 10 * MB, b"")).put(b"cheap", Result(tuple(tensors())), 0.001)
    after = Cache(disk=Disk(tmp_path, 10 * MB, b""))
    found = after.get(b"a")
    assert found is not None
    assert same(list(found.values), tensors())
    assert after.get(b"cheap") is None


def test_other_code_does_not_find_it(tmp_path: Path) -> None:
    Disk(tmp_path, MB, b"old").put(b"a", (1,), 9.0)
    assert Disk(tmp_path, MB, b"new").get(b"a") is None


def test_what_a_node_showed_is_not_kept_on_disk(tmp_path: Path) -> None:
    Cache(disk=Disk(tmp_path, MB, b"")).put(b"a", Result((1,), {"images": []}), 9.0)
    assert Cache(disk=Disk(tmp_path, MB, b"")).get(b"a") is None


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_file_is_dropped_not_believed(tmp_path: Path, damage: str) -> None:
    disk = Disk(tmp_path, MB, b"")
    disk.put(b"a", tuple(tensors()), 9.0)
    (blob,) = disk.blobs.iterdir()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    if damage == "remove":
        blob.unlink()
    else:
        blob.write_bytes(data[: len(data) // 2] if damage == "truncate" else data)
    assert disk.get(b"a") is None
    assert Disk(tmp_path, MB, b"").nbytes == 0


def test_the_disk_budget_is_kept(tmp_path: Path) -> None:
    import torch

    disk = Disk(tmp_path, 4 * MB, b"")
    for i in range(30):
        disk.put(bytes([i]), (torch.full((MB // 16,), float(i)),), 9.0)
        assert sum(path.stat().st_size for path in disk.blobs.iterdir()) <= 4 * MB
    assert bytes([29]) in disk
    assert disk.get(bytes([0])) is None
    assert len(list(disk.names.iterdir())) <= len(list(disk.blobs.iterdir())) + 1
