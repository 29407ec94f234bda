"""Text and regular expressions."""

from __future__ import annotations

from typing import Any

import pytest

from nodes import strings


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (strings.string_concatenate("a", "b", "-"), "a-b"), (strings.string_substring("abcdef", 1, -1), "bcde"),
        (strings.string_length("äbc").length, 3), (strings.case_converter("a Cat", "UPPERCASE"), "A CAT"),
        (strings.case_converter("A Cat", "lowercase"), "a cat"), (strings.case_converter("a Cat", "Capitalize"), "A cat"),
        (strings.case_converter("a cat", "Title Case"), "A Cat"), (strings.string_trim(" a ", "Both"), "a"),
        (strings.string_trim(" a ", "Left"), "a "), (strings.string_trim(" a ", "Right"), " a"),
        (strings.string_replace("aXbX", "X", ""), "ab"), (strings.string_contains("Cat", "cat").contains, False),
        (strings.string_contains("Cat", "cat", False).contains, True), (strings.string_compare("cat", "at", "Ends With"), True),
        (strings.string_compare("Cat", "ca", "Starts With"), False), (strings.string_compare("cat", "CAT", "Equal", False), True),
        (strings.string_compare("Cat", "ca", "Starts With", False), True),
    ],
)  # fmt: skip
def test_text(made: Any, expected: Any) -> None:
    assert made == expected


TEXT = "one cat, Two cats\nthree CATS"


@pytest.mark.parametrize(
    ("pattern", "mode", "how", "expected"),
    [
        (r"cats?", "First Match", {}, "cat"), (r"cats?", "All Matches", {}, "cat\ncats\nCATS"),
        (r"cats?", "All Matches", {"case_insensitive": False}, "cat\ncats"),
        (r"(\w+) (cats?)", "First Group", {}, "one"), (r"(\w+) (cats?)", "All Groups", {"group_index": 2}, "cat\ncats\nCATS"),
        (r"(\w+) (cats?)", "First Group", {"group_index": 0}, "one cat"), (r"(a)", "All Groups", {"group_index": 9}, ""),
        (r"^three", "First Match", {}, ""), (r"^three", "First Match", {"multiline": True}, "three"),
        (r"Two.*three", "First Match", {}, ""), (r"Two.*three", "First Match", {"dotall": True}, "Two cats\nthree"),
        (r"dog", "First Match", {}, ""), (r"(?:x)?(y)?one", "First Group", {}, ""),
    ],
)  # fmt: skip
def test_a_pattern_extracts(pattern: str, mode: Any, how: dict[str, Any], expected: str) -> None:
    assert strings.regex_extract(TEXT, pattern, mode, **how) == expected


def test_a_pattern_matches_and_replaces() -> None:
    assert strings.regex_match(TEXT, "CATS$").matches
    assert not strings.regex_match(TEXT, "cats$", case_insensitive=False).matches
    assert strings.regex_replace(TEXT, r"(\w+) cats?", r"\1 dog", count=1) == "one dog, Two cats\nthree CATS"
    assert strings.regex_replace(TEXT, "cat", "dog", case_insensitive=False) == "one dog, Two dogs\nthree CATS"


def test_what_is_no_pattern_is_said() -> None:
    with pytest.raises(strings.PatternError, match=r"'\(a' with these settings is no regular expression: missing \)"):
        strings.regex_match("a", "(a")
    with pytest.raises(strings.PatternError, match="invalid group reference"):
        strings.regex_replace("a", "a", r"\3")


def test_a_pattern_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strings, "SECONDS", 0.2)
    for call in (
        lambda: strings.regex_match("a" * 40 + "b", r"^(a|a)*\1$|(x+x+)+y(a+)+$"),
        lambda: strings.regex_extract("a" * 60 + "!", r"(a|aa)+\1+$", "First Match"),
    ):
        with pytest.raises(strings.PatternError, match="took more than"):
            call()
