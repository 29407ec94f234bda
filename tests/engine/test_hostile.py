"""Whatever is sent as a prompt, the answer is a graph or one GraphError."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.folders import Folders
from engine.graph import build
from engine.problems import GraphError
from engine.prompt import decode, parse

from .toys import SPECS

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["1", "2", "../x", "\0", "9" * 500]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
LINK = st.tuples(st.sampled_from(["1", "2", "3", 1, None]), st.sampled_from([0, 1, 99, -1, 0.0, 0.5, True, "0", 2**80])).map(list)
NAMES = sorted({port.name for spec in SPECS.values() for port in spec.inputs} | {"unheard_of", ""})
NODE = st.fixed_dictionaries(
    {
        "class_type": st.sampled_from(sorted(SPECS)),
        "inputs": st.dictionaries(st.sampled_from(NAMES), ANYTHING | LINK, max_size=4),
    },
    optional={"_meta": ANYTHING, "is_changed": ANYTHING},
)
FOLDERS = Folders()


def answer(data: Any) -> None:
    with contextlib.suppress(GraphError):
        graph = build(parse(data), SPECS, FOLDERS, strict=False)
        assert graph.targets
        return


@given(ANYTHING)
@settings(max_examples=200, deadline=None)
def test_any_json(data: Any) -> None:
    answer(data)


@given(st.dictionaries(st.sampled_from(["1", "2", "3"]), NODE, min_size=1))
@settings(max_examples=400, deadline=None)
def test_any_nodes(data: Any) -> None:
    data["show"] = {"class_type": "Show", "inputs": {"value": ["1", 0]}}
    answer(data)
    answer(json.loads(json.dumps(data)))


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(GraphError):
        answer(decode(data))
