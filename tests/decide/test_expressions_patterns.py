"""Regular expressions of `=~`: what they mean, what is refused, and that none can hang."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow.decide.expressions import DocumentScope, resolve_text
from asyncflow.decide.jsonpath.patterns import MAX_STATES, PatternError, compile_pattern
from asyncflow.errors import LimitExceeded


def fits(source: str, text: str, flags: str = "") -> bool:
    return compile_pattern(source, flags).matches(text, lambda _work: None)


@pytest.mark.parametrize(
    ("source", "fitting", "unfitting"),
    [
        ("abc", ["abc"], ["", "ab", "abcd", "xabc"]),
        ("", [""], ["a"]),
        ("a*", ["", "aaa"], ["b"]),
        ("a+?", ["a", "aaa"], [""]),
        ("ab?c", ["ac", "abc"], ["abbc"]),
        ("a{2}", ["aa"], ["a", "aaa"]),
        ("a{2,}", ["aa", "aaaa"], ["a"]),
        ("a{1,2}", ["a", "aa"], ["", "aaa"]),
        ("(ab|c)+", ["ab", "cab"], ["", "a"]),
        ("(?:a|)b", ["ab", "b"], ["a"]),
        ("(?<x>a)b", ["ab"], ["b"]),
        ("(?i)ab", ["AB"], ["b"]),
        ("^a.c$", ["abc"], ["a\nc", "ac"]),
        (".*foo.*", ["foo", "a foo b"], ["fo"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[^a-c]", ["d", "-"], ["a", ""]),
        ("[-a]", ["-", "a"], ["b"]),
        ("[a-]", ["-", "a"], ["b"]),
        ("[\\d_]+", ["1_2"], ["a"]),
        ("[^\\w]", ["!"], ["a"]),
        ("\\d\\D\\w\\W\\s\\S", ["1a_- x"], ["aaaaaa"]),
        ("a\\.b\\/c", ["a.b/c"], ["aXb/c"]),
        ("\\ba\\b.*", ["a b"], ["ab"]),
        ("a\\Bb", ["ab"], ["a b"]),
        ("\\u0041\\t", ["A\t"], ["a\t"]),
        ("(a*)*b", ["aab", "b"], ["a"]),
    ],
)
def test_pattern_fits_whole_texts(source: str, fitting: list[str], unfitting: list[str]) -> None:
    assert [text for text in fitting if not fits(source, text)] == []
    assert [text for text in unfitting if fits(source, text)] == []


def test_flags_change_case_and_the_dot() -> None:
    assert fits("aBc", "AbC", "i")
    assert fits("[a-c]+", "ABC", "i")
    assert not fits("[^a-c]", "A", "i")
    assert fits("a.c", "a\nc", "s")


@pytest.mark.parametrize(
    "source",
    ["(", ")", "a)", "[", "[]", "[z-a]", "[a[b]]", "*", "a**", "a++", "a{", "a{2,1}", "a{1001}", "\\", "\\1",
     "\\p{L}", "(?=a)", "(?!a)", "(?<=a)", "^*", "\\uZZZZ", "(" * 40 + ")" * 40],
)  # fmt: skip
def test_unsupported_or_malformed_pattern_is_refused(source: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(source)


def test_unknown_flag_is_refused() -> None:
    with pytest.raises(PatternError, match="flag"):
        compile_pattern("a", "q")


@pytest.mark.parametrize("source", ["(a{100}){100}", "((){1000}){1000}", "(((a?){1000}){1000}){1000}"])
def test_size_of_a_pattern_is_bounded(source: str) -> None:
    with pytest.raises(PatternError, match=f"{MAX_STATES} states|too large"):
        compile_pattern(source)


@pytest.mark.parametrize(
    "source", ["(a+)+b", "(a|a)*b", "(a|aa)+$", "a*a*a*a*a*a*b", "(.*)*x", "(a?){60}a{60}"]
)
def test_catastrophic_pattern_costs_no_more_than_characters_times_states(source: str) -> None:
    """With backtracking each of these would outlive the suite's time limit by far."""
    work = 0

    def spend(amount: int) -> None:
        nonlocal work
        work += amount

    compile_pattern(source).matches("a" * 2000 + "!", spend)

    assert 2000 <= work <= 2001 * (MAX_STATES + 1)


def test_matching_counts_against_the_budget_of_the_expression() -> None:
    scope = DocumentScope({"x": ["a" * 10_000] * 100})

    with pytest.raises(LimitExceeded, match="work"):
        resolve_text("${x[?(@ =~ /(a|b|c)*d/)]}", scope)


PLACES = ("^", "$", "\\b")  # on an empty text Python has its own view of \\B
PIECES = st.sampled_from([*PLACES, "a", "b", ".", "[ab]", "[^a]", "(a|b)", "(ab)", "\\w", "x"])
QUANTIFIERS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "*?"])


@given(st.lists(st.tuples(PIECES, QUANTIFIERS), max_size=5), st.text("abx ", max_size=8))
def test_pattern_agrees_with_a_backtracking_engine(pieces: list[tuple[str, str]], text: str) -> None:
    """On syntax that both know, the set of states decides as Python's engine does."""
    source = "".join(piece if piece in PLACES else piece + quantifier for piece, quantifier in pieces)
    pattern = compile_pattern(source)

    for shorter in range(len(text) + 1):
        part = text[shorter:]
        assert pattern.matches(part, lambda _work: None) == (re.fullmatch(source, part) is not None)
