"""The query of a search: read or refused by position, and never anything else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow.errors import InvalidInput
from asyncflow.model import free_text
from asyncflow.model.search_query import (
    Comparison,
    Every,
    Expression,
    Kind,
    Some,
    parse_query,
    parse_sort,
)

FIELDS = {
    "workflowType": Kind.TEXT,
    "status": Kind.STATUS,
    "version": Kind.NUMBER,
    "startTime": Kind.TIME,
    "failedTaskNames": Kind.NAMES,
}
PIECES = st.sampled_from([
    "workflowType", "status", "version", "startTime", "failedTaskNames", "=", "!=", "<", ">=", "IN", "NOT",
    "(", ")", ",", "AND", "OR", "LIKE", "BETWEEN", "IS", "NULL", "'a b'", '"x"', "1", "2024-01-01", "*", "%",
    "'", '"', "\\", ";", "--", "\0", "\ud800", "DROP TABLE task",
])  # fmt: skip
COLUMNS = frozenset(FIELDS)


def read(query: str) -> Expression:
    return parse_query(query, FIELDS)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Every(())),
        (" * ", Every(())),
        ("workflowType='a b'", Comparison("workflowType", "=", ("a b",))),
        ('WORKFLOWTYPE = "it\'s"', Comparison("workflowType", "=", ("it's",))),
        ("workflowType='it''s'", Comparison("workflowType", "=", ("it's",))),
        (r"workflowType='it\'s \\'", Comparison("workflowType", "=", ("it's \\",))),
        ("workflowType = my-flow.v2:x/y ", Comparison("workflowType", "=", ("my-flow.v2:x/y",))),
        ("workflowType = 50%_*", Comparison("workflowType", "like", (r"50\%\_%",))),
        ("workflowType != a", Comparison("workflowType", "!=", ("a",))),
        ("workflowType<>a", Comparison("workflowType", "!=", ("a",))),
        ("workflowType STARTS_WITH a", Comparison("workflowType", "starts", ("a",))),
        ("workflowType contains a", Comparison("workflowType", "contains", ("a",))),
        ("workflowType LIKE '%a_'", Comparison("workflowType", "like", ("%a_",))),
        ("workflowType IS NULL", Comparison("workflowType", "=", ("",))),
        ("startTime is not null", Comparison("startTime", "!=", (0,))),
        ("status IN (running , 'FAILED' )", Comparison("status", "in", ("RUNNING", "FAILED"))),
        ("status NOT IN (RUNNING)", Comparison("status", "not in", ("RUNNING",))),
        ("status IN COMPLETED", Comparison("status", "in", ("COMPLETED",))),
        ("version >= 2", Comparison("version", ">=", (2,))),
        ("startTime > '1700000000000'", Comparison("startTime", ">", (1_700_000_000_000,))),
        ("startTime < 1970-01-01T00:00:01Z", Comparison("startTime", "<", (1_000,))),
        ("startTime < '1970-01-01 01:00:01+01:00'", Comparison("startTime", "<", (1_000,))),
        ("startTime >= 1970-01-02", Comparison("startTime", ">=", (86_400_000,))),
        ("failedTaskNames = a", Comparison("failedTaskNames", "=", ("a",))),
        (
            "version BETWEEN 1 AND 2 AND status=A",
            Every((
                Every((Comparison("version", ">=", (1,)), Comparison("version", "<=", (2,)))),
                Comparison("status", "=", ("A",)),
            )),
        ),
        (
            "status=A OR status=B and (version=1 or version=2)",
            Some((
                Comparison("status", "=", ("A",)),
                Every((
                    Comparison("status", "=", ("B",)),
                    Some((Comparison("version", "=", (1,)), Comparison("version", "=", (2,)))),
                )),
            )),
        ),
    ],
)  # fmt: skip
def test_query_says(query: str, expected: Expression) -> None:
    assert read(query) == expected


@pytest.mark.parametrize(
    ("query", "position"),
    [
        ("status", 7),
        ("status = ", 10),
        ("status = 'A", 10),
        ("colour = red", 1),
        ("status ~ A", 8),
        ("status = A status = B", 12),
        ("(status = A", 12),
        ("status = A)", 11),
        ("status IN (A", 13),
        ("status IN ()", 12),
        ("version = one", 11),
        ("version = 99999999999999999999", 11),
        ("startTime > tomorrow", 13),
        ("version LIKE 1", 9),
        ("failedTaskNames != a", 17),
        ("workflowType LIKE '%%%%%%%%%'", 19),
        ("status = A AND", 15),
        ("status IS EMPTY", 11),
        ("1 = 1", 1),
        ("status = A; DROP TABLE task", 13),
        ("workflowType = \ud800", 16),
        ("(" * 40 + "status = A", 33),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_stands(query: str, position: int) -> None:
    with pytest.raises(InvalidInput, match=rf"position {position}\b"):
        read(query)


def test_lengths_are_bounded() -> None:
    for query in ("x" * 10_001, " OR ".join(["version = 1"] * 201)):
        with pytest.raises(InvalidInput):
            read(query)


def comparisons(expression: Expression) -> list[Comparison]:
    if isinstance(expression, Comparison):
        return [expression]
    return [found for member in expression.members for found in comparisons(member)]


@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=30).map(" ".join)))
def test_any_text_is_read_or_refused(query: str) -> None:
    """Law: nothing but InvalidInput is raised, and only listed fields and bindable values come out."""
    try:
        found = comparisons(read(query))
    except InvalidInput:
        return
    for field, operator, values in found:
        assert field in COLUMNS
        assert operator in {
            "=", "!=", "<", "<=", ">", ">=", "in", "not in", "like", "contains", "starts", "is", "is not",
        }  # fmt: skip
        assert all(
            value.encode().decode() == value if isinstance(value, str) else abs(value) < 1 << 63
            for value in values
        )


@given(st.text(max_size=50))
def test_any_value_comes_back_from_its_quotes(value: str) -> None:
    """Law: a value in quotes, with its quotes and backslashes escaped, is read as it was."""
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    try:
        value.encode()
    except UnicodeEncodeError:
        with pytest.raises(InvalidInput):
            read(f"workflowType != '{quoted}'")
        return

    assert read(f"workflowType != '{quoted}'") == Comparison("workflowType", "!=", (value,))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["startTime:DESC"], [("startTime", True)]),
        (
            ["status:asc|version : DESC", "starttime"],
            [("status", False), ("version", True), ("startTime", False)],
        ),
        ([" , |"], []),
    ],
)  # fmt: skip
def test_sort_is_a_list(texts: list[str], expected: list[tuple[str, bool]]) -> None:
    assert parse_sort(texts, FIELDS) == expected


@pytest.mark.parametrize("text", ["colour:ASC", "status:UP", ":DESC", "status;--:ASC"])
def test_unknown_sort_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_sort([text], FIELDS)


# --- free text ----------------------------------------------------------------------------------


def index() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE words USING fts5(body, tokenize = 'unicode61 remove_diacritics 2')")
    db.executemany("INSERT INTO words VALUES (?)", [("the quick brown fox",), ("the lazy dog AND cat",)])
    return db


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quick", [1]),
        ("QUICK fox", [1]),
        ("quick dog", []),
        ("quick OR dog", [1, 2]),
        ("quick AND fox", [1]),
        ('"brown fox"', [1]),
        ('"fox brown"', []),
        ('"brown fo"*', [1]),
        ("bro*", [1]),
        ("bro", []),
        ("the", [1, 2]),
        ("--- %%", []),
        ("NEAR(quick fox)", []),
        ("body : quick", []),
        ("qüick", [1]),
    ],
)
def test_free_text_finds(text: str, expected: list[int]) -> None:
    with closing(index()) as db:
        rows = db.execute(
            "SELECT rowid FROM words WHERE words MATCH ? ORDER BY 1", (free_text.matching(text),)
        )
        assert [number for (number,) in rows.fetchall()] == expected


@given(st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=20).map("".join)))
def test_any_free_text_is_understood_or_refused(text: str) -> None:
    """Law: what comes out is no syntax error of the index."""
    try:
        expression = free_text.matching(text)
    except InvalidInput:
        return
    with closing(index()) as db:
        db.execute("SELECT count(*) FROM words WHERE words MATCH ?", (expression,)).fetchone()
