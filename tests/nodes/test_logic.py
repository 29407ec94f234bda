"""Arithmetic, decisions, lists and JSON."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nodes import logic
from nodes.mathematics import ExpressionError, evaluate, math_expression


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("2 ** 10", 1024), ("7 // 2 + 7 % 2", 4), ("-a + b", 2), ("a < b <= 5", True),
        ("max(a, b, 4)", 5), ("sum(values)", 8), ("sum(1, 2)", 3), ("round(sqrt(2), 2)", 1.41), ("a if a > b else b", 5),
        ("a and b", 5), ("a > 9 or b", 5), ("not a", False), ("values[1]", 5), ("sin(pi)", math.sin(math.pi)), ("len(values)", 2),
    ],
)  # fmt: skip
def test_expressions(expression: str, expected: Any) -> None:
    assert evaluate(expression, {"a": 3, "b": 5, "values": [3, 5]}) == pytest.approx(expected)


@pytest.mark.parametrize(
    "expression",
    [
        "", "a +", "__import__('os')", "a.__class__", "().__class__", "(lambda: 1)()", "[x for x in values]", "'a' * 9", "c",
        "9**9**9", "pow(9, 99999)", "open(1)", "1 << 99999999", "f'{a}'", "a := 1", "values * 99999999", "-" * 200 + "1",
        "max(key=a)", "round(*values)",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises((ExpressionError, TypeError)):
        evaluate(expression, {"a": 3, "values": [3]})


def test_a_long_product_does_not_grow_without_end() -> None:
    with pytest.raises(ExpressionError, match="too large"):
        evaluate("9**4000" + " * 9**4000" * 95, {})


def test_the_math_node_gives_three_kinds() -> None:
    assert math_expression("a * 2.5", a=3) == (7.5, 7, True)
    assert math_expression("b - a", a=3, **{"values.b": 3}) == (0.0, 0, False)
    with pytest.raises(ExpressionError):
        math_expression("values", a=1)


def test_lists() -> None:
    assert logic.list_length([[1, 2, 3]]) == 3
    assert logic.list_item([1, 2, 3], -1) == 3
    assert logic.list_slice([[1, 2, 3]], 1) == [2, 3]
    with pytest.raises(IndexError, match="3 items"):
        logic.list_item([1, 2, 3], 3)
    assert logic.create_list(**{"inputs.input0": [1], "inputs.input1": [2, 3]}) == [1, 2, 3]


def test_json() -> None:
    value = logic.json_read('{"people": [{"name": "Ada"}]}')
    assert logic.json_get(value, "people.0.name") == "Ada"
    assert logic.json_get(value, "people.1.name", "nobody") == "nobody"
    assert logic.json_read(logic.json_write(value)) == value


def test_decisions() -> None:
    assert logic.and_(1, **{"values.value1": 0}) is False
    assert logic.or_(0, **{"values.value1": 2}) is True
    assert logic.compare(2, 3, "<")
    assert logic.pass_or_none(None, 4) == (4, False)
    assert logic.not_([]) is True
