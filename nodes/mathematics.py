"""Arithmetic: an expression of numbers, read by a parser that knows nothing but arithmetic."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, NamedTuple

from engine.node import Multiline, Name, node

LARGEST_POWER = 4000
LONGEST = 10_000
DEEPEST = 100
MOST_BITS = 1 << 20

OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.USub: operator.neg, ast.UAdd: operator.pos,
    ast.Not: operator.not_, ast.Invert: operator.invert,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}  # fmt: skip


class ExpressionError(ValueError):
    """An expression that cannot be computed: where, and what may stand there."""


def power(base: float, exponent: float) -> float:
    if abs(exponent) > LARGEST_POWER or (isinstance(base, int) and base.bit_length() * abs(exponent) > MOST_BITS):
        raise ExpressionError(f"{base} ** {exponent} is too large")
    result: float = base**exponent
    return result


def total(*values: Any) -> float:
    return sum(values[0]) if len(values) == 1 and isinstance(values[0], Iterable) else sum(values)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "sum": total, "min": min, "max": max, "abs": abs, "round": round, "pow": power, "sqrt": math.sqrt, "ceil": math.ceil,
    "floor": math.floor, "log": math.log, "log2": math.log2, "log10": math.log10, "exp": math.exp, "sin": math.sin,
    "cos": math.cos, "tan": math.tan, "int": int, "float": float, "len": len,
}  # fmt: skip
CONSTANTS = {"pi": math.pi, "e": math.e, "True": True, "False": False, "true": True, "false": False}


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    """The value of an expression: numbers, the given names, arithmetic, comparisons, ``a if b else c`` and FUNCTIONS."""
    if not expression.strip():
        raise ExpressionError("the expression is empty")
    if len(expression) > LONGEST:
        raise ExpressionError(f"the expression is longer than {LONGEST} characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"{expression!r} is no expression: {getattr(error, 'msg', error)}") from None
    return _value(tree.body, {**CONSTANTS, **names}, 0)


def _value(item: ast.AST, names: Mapping[str, Any], depth: int) -> Any:
    if depth > DEEPEST:
        raise ExpressionError("the expression is nested too deeply")

    def value(inner: ast.AST) -> Any:
        return _value(inner, names, depth + 1)

    match item:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            if name not in names:
                raise ExpressionError(f"{name!r} is not known; there are {', '.join(sorted(names))}")
            return names[name]
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return power(value(left), value(right))
        case ast.BinOp(left=left, op=ast.LShift() | ast.RShift()):
            raise ExpressionError("shifts are not supported")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return _bounded(OPERATORS[type(op)](value(left), value(right)))
        case ast.UnaryOp(op=op, operand=operand):
            return OPERATORS[type(op)](value(operand))
        case ast.BoolOp(op=op, values=values):
            return _join(isinstance(op, ast.And), values, value)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in OPERATORS for op in ops):
            values = [value(left), *map(value, others)]
            return all(OPERATORS[type(op)](a, b) for op, a, b in zip(ops, values, values[1:], strict=False))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return value(body) if value(test) else value(orelse)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return [value(element) for element in elements]
        case ast.Subscript(value=inner, slice=index):
            return value(inner)[int(value(index))]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name](*map(value, arguments))
    raise ExpressionError(f"{ast.unparse(item)!r} cannot be used here; functions are {', '.join(FUNCTIONS)}")


def _join(conjunction: bool, values: list[ast.expr], value: Callable[[ast.AST], Any]) -> Any:
    """``and`` and ``or``: the rest is not looked at once the result is known."""
    found: Any = conjunction
    for item in values:
        found = value(item)
        if bool(found) is not conjunction:
            break
    return found


def _bounded(number: Any) -> Any:
    if isinstance(number, list) or (isinstance(number, int) and number.bit_length() > MOST_BITS):
        raise ExpressionError("the result is too large, or is no number")
    return number


class Computed(NamedTuple):
    FLOAT: float
    INT: int
    BOOL: bool


@node("ComfyMathExpression", category="utilities", title="Math Expression", search_aliases=("math", "formula", "calculate"))
def math_expression(
    expression: Annotated[str, Multiline()] = "a + b",
    *,
    a: Annotated[Any, Name("values.a")],
    **values: Any,
) -> Computed:
    """Compute with numbers: ``values.a``, ``values.b`` and so on are called a, b ...; ``values`` are all of them."""
    names = {"a": a, **{name.removeprefix("values."): value for name, value in values.items()}}
    result = evaluate(expression, {**names, "values": list(names.values())})
    if not isinstance(result, int | float):
        raise ExpressionError(f"{expression!r} gives {type(result).__name__}, not a number")
    try:
        number = float(result)
    except OverflowError:
        raise ExpressionError(f"{expression!r} gives a number too large for a float") from None
    if not math.isfinite(number):
        raise ExpressionError(f"{expression!r} gives {number}")
    return Computed(number, int(result), bool(result))
