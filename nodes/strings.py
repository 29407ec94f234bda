"""Text: joining, cutting, searching, replacing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

from annotated_types import Interval

from engine.node import Multiline, node

if TYPE_CHECKING:
    import regex

Text = Annotated[str, Multiline()]
T = TypeVar("T")
SECONDS = 10.0
"""A pattern that takes longer is an error: some take longer than the universe (https://en.wikipedia.org/wiki/ReDoS)."""


@node("StringConcatenate", category="utils/string", title="Concatenate")
def string_concatenate(string_a: Text, string_b: Text, delimiter: str = "") -> str:
    """The first text, the delimiter, the second text."""
    return delimiter.join((string_a, string_b))


@node("StringSubstring", category="utils/string", title="Substring")
def string_substring(string: Text, start: int, end: int) -> str:
    """The characters from ``start`` up to ``end``; negative numbers count from the end."""
    return string[start:end]


class Length(NamedTuple):
    length: int


@node("StringLength", category="utils/string", title="Length")
def string_length(string: Text) -> Length:
    """How many characters it has."""
    return Length(len(string))


@node("CaseConverter", category="utils/string", title="Case Converter")
def case_converter(string: Text, mode: Literal["UPPERCASE", "lowercase", "Capitalize", "Title Case"]) -> str:
    """The text in capitals, in small letters, or with capital initials."""
    modes = {"UPPERCASE": str.upper, "lowercase": str.lower, "Capitalize": str.capitalize, "Title Case": str.title}
    return modes[mode](string)


@node("StringTrim", category="utils/string", title="Trim")
def string_trim(string: Text, mode: Literal["Both", "Left", "Right"]) -> str:
    """The text without white space at its ends."""
    return {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}[mode](string)


@node("StringReplace", category="utils/string", title="Replace")
def string_replace(string: Text, find: Text, replace: Text) -> str:
    """Every ``find`` becomes ``replace``."""
    return string.replace(find, replace)


class Found(NamedTuple):
    contains: bool


@node("StringContains", category="utils/string", title="Contains")
def string_contains(string: Text, substring: Text, case_sensitive: bool = True) -> Found:
    """Whether the one text holds the other."""
    return Found(substring in string if case_sensitive else substring.lower() in string.lower())


@node("StringCompare", category="utils/string", title="Compare")
def string_compare(
    string_a: Text, string_b: Text, mode: Literal["Starts With", "Ends With", "Equal"], case_sensitive: bool = True
) -> bool:
    """Whether the first text starts with, ends with or equals the second."""
    a, b = (string_a, string_b) if case_sensitive else (string_a.lower(), string_b.lower())
    return {"Starts With": a.startswith(b), "Ends With": a.endswith(b), "Equal": a == b}[mode]


class PatternError(ValueError):
    """A regular expression that is none, or that takes too long."""


def matched(
    pattern: str, case_insensitive: bool, multiline: bool, dotall: bool, use: Callable[[regex.Pattern[str], Any], T]
) -> T:
    """What ``use(compiled, limits)`` gives; ``limits`` are keywords of its search that let others work and end in time."""
    import regex

    flags = regex.IGNORECASE * case_insensitive | regex.MULTILINE * multiline | regex.DOTALL * dotall
    try:
        return use(regex.compile(pattern, flags), {"timeout": SECONDS, "concurrent": True})
    except (regex.error, IndexError) as error:
        raise PatternError(f"{pattern!r} with these settings is no regular expression: {error}") from None
    except TimeoutError:
        raise PatternError(
            f"{pattern!r} took more than {SECONDS:.0f} seconds on this text. Patterns such as (a+)+ try every way there is; "
            "write a+ instead."
        ) from None


class Matches(NamedTuple):
    matches: bool


@node("RegexMatch", category="utils/string", title="Regex Match")
def regex_match(
    string: Text, regex_pattern: Text, case_insensitive: bool = True, multiline: bool = False, dotall: bool = False
) -> Matches:
    """Whether the pattern occurs anywhere."""
    return Matches(
        matched(regex_pattern, case_insensitive, multiline, dotall, lambda p, limits: p.search(string, **limits)) is not None
    )


@node("RegexExtract", category="utils/string", title="Regex Extract")
def regex_extract(
    string: Text,
    regex_pattern: Text,
    mode: Literal["First Match", "All Matches", "First Group", "All Groups"],
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    group_index: Annotated[int, Interval(ge=0, le=100)] = 1,
) -> str:
    """What the pattern matched, or one of its groups; all matches come on lines of their own."""
    found = matched(regex_pattern, case_insensitive, multiline, dotall, lambda p, limits: list(p.finditer(string, **limits)))
    group = group_index if mode.endswith(("Group", "Groups")) else 0
    parts = [match[group] or "" for match in found if group <= len(match.groups())]
    return "\n".join(parts if mode.startswith("All") else parts[:1])


@node("RegexReplace", category="utils/string", title="Regex Replace")
def regex_replace(
    string: Text,
    regex_pattern: Text,
    replace: Text,
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    count: Annotated[int, Interval(ge=0, le=100)] = 0,
) -> str:
    r"""Replace what the pattern matches; ``\1`` stands for its first group, ``count`` 0 replaces all."""
    replaced: str = matched(
        regex_pattern, case_insensitive, multiline, dotall, lambda p, limits: p.sub(replace, string, count=count, **limits)
    )
    return replaced
