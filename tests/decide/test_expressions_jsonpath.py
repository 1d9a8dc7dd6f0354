"""JSONPath in Jayway's dialect: one table per kind of step, then the bounds."""

from __future__ import annotations

import pytest

from asyncflow.decide.expressions import DocumentScope, resolve_text
from asyncflow.decide.jsonpath import JsonPathError, compile_path
from asyncflow.errors import LimitExceeded

STORE: dict[str, object] = {
    "books": [
        {"title": "A", "price": 8, "tags": ["x", "y"], "isbn": None},
        {"title": "B", "price": 12.5, "tags": []},
        {"title": "C", "price": 23, "by": {"name": "Ann", "age": 40}},
    ],
    "n": [1, 2, 3, 4],
    "map": {"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": [4]}]},
    "limit": 10,
    "words": ["abc", "b"],
    "a.b": "dotted",
    "it's": "quoted",
    "": "empty",
    "true": "named true",
    "nothing": None,
    "mixed": [1, "1", True, None, "x", [1], {"v": 1}],
}


def find(path: str) -> object:
    dot = "" if path.startswith((".", "[")) else "."
    return resolve_text(f"${{s.output{dot}{path}}}", DocumentScope({"s": {"output": STORE}}))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("limit", 10),
        ("n[0]", 1),
        ("n[-1]", 4),
        ("n[-4]", 1),
        ("n[4]", None),
        ("n[-5]", None),
        ("n.[1]", 2),
        ("books[2].by.name", "Ann"),
        ("books[2]['by']['name']", "Ann"),
        ('books[2]["by"].age', 40),
        ("['a.b']", "dotted"),
        ("['it\\'s']", "quoted"),
        ('["it\'s"]', "quoted"),
        ("['']", "empty"),
        ("['\\u006eothing']", None),
        ("true", "named true"),
        ("limit[0]", None),
        ("map[0]", None),
        ("n.a", None),
        ("n['0']", None),
    ],
)
def test_single_steps_lead_to_one_value(path: str, expected: object) -> None:
    assert find(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("n[*]", [1, 2, 3, 4]),
        ("map[*]", [1, {"a": 2}, [{"a": 3}, {"a": [4]}]]),
        ("map.*", [1, {"a": 2}, [{"a": 3}, {"a": [4]}]]),
        ("books[*].title", ["A", "B", "C"]),
        ("books[*].isbn", [None]),
        ("books[*].by.name", ["Ann"]),
        ("books[*].tags[*]", ["x", "y"]),
        ("books[*].tags[0]", ["x"]),
        ("limit[*]", []),
        ("nobody[*]", []),
        ("n[0,2]", [1, 3]),
        ("n[-1, 0, 9]", [4, 1]),
        ("n[1:3]", [2, 3]),
        ("n[1:]", [2, 3, 4]),
        ("n[-2:]", [3, 4]),
        ("n[:2]", [1, 2]),
        ("n[:-1]", [1, 2, 3]),
        ("n[:-9]", []),
        ("n[-9:]", [1, 2, 3, 4]),
        ("n[2:9]", [3, 4]),
        ("n[1:-1]", []),
        ("n[-2:-1]", [3]),
        ("n[0:4:2]", [1, 2, 3, 4]),
        ("n[2:1]", []),
        ("limit[1:]", []),
    ],
)
def test_indefinite_steps_give_lists(path: str, expected: object) -> None:
    assert find(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("map['a','b']", {"a": 1, "b": {"a": 2}}),
        ("map['a','none']", {"a": 1}),
        (
            "books[*]['title','price']",
            [{"title": c, "price": p} for c, p in (("A", 8), ("B", 12.5), ("C", 23))],
        ),
        ("map['b','c'].a", [2]),
        ("books[2]['by','title'].name", ["Ann"]),
        ("n['a','b']", None),
    ],
)
def test_several_names_merge_at_the_end_and_spread_before_it(path: str, expected: object) -> None:
    assert find(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("map..a", [1, 2, 3, [4]]),
        ("..name", ["Ann"]),
        ("..tags[0]", ["x"]),
        ("map..a[0]", [4]),
        ("map..*", [1, {"a": 2}, [{"a": 3}, {"a": [4]}], 2, {"a": 3}, {"a": [4]}, 3, [4], 4]),
        ("map..[0]", [{"a": 3}, 4]),
        ("map..['a']", [1, 2, 3, [4]]),
        ("..['name','age']", [{"name": "Ann", "age": 40}]),
        ("books..[?(@.age)].name", ["Ann"]),
        ("books..[?(@.price > 10)].title", ["B", "C"]),
        ("limit..x", []),
        ("nobody..x", []),
    ],
)
def test_descent_visits_parents_first(path: str, expected: object) -> None:
    assert find(path) == expected


@pytest.mark.parametrize(
    ("condition", "titles"),
    [
        ("@.price > 10", "BC"),
        ("@.price >= 12.5", "BC"),
        ("@.price < 8.5", "A"),
        ("@.price <= 8", "A"),
        ("@.price == 8", "A"),
        ("@.price == 8.0", "A"),
        ("@.price == '8'", "A"),
        ("@['price']===8", "A"),
        ("@.price === '8'", ""),
        ("@.price !== 8", "BC"),
        ("@.price != 8", "BC"),
        ("@.title == 'B'", "B"),
        ('@.title == "B"', "B"),
        ("'B' == @.title", "B"),
        ("@.title > 'A'", "BC"),
        ("@.title > 1", ""),
        ("@.by", "C"),
        ("!@.by", "AB"),
        ("!(@.by)", "AB"),
        ("@.isbn", "A"),
        ("@.isbn == null", "A"),
        ("@.isbn != null", "BC"),
        ("@.nobody == null", ""),
        ("@.by.name == 'Ann'", "C"),
        ("@.price > 10 && @.by", "C"),
        ("@.price < 10 || @.by", "AC"),
        ("@.title == 'A' || @.title == 'B' && @.by", "A"),
        ("(@.title == 'A' || @.title == 'C') && !(@.by)", "A"),
        ("@.price>$.s.output.limit", "BC"),
        ("@.title in ['A', 'C']", "AC"),
        ("@.title nin ['A', 'C']", "B"),
        ("@.price in [8, 23.0]", "AC"),
        ("@.title IN $.s.output.words", ""),
        ("'x' in @.tags", "A"),
        ("@.tags contains 'y'", "A"),
        ("@.title contains 'C'", "C"),
        ("@.tags size 2", "A"),
        ("@.tags empty true", "B"),
        ("@.tags empty false", "A"),
        ("@.tags subsetof ['x', 'y', 'z']", "AB"),
        ("@.tags anyof ['y']", "A"),
        ("@.tags noneof ['y']", "B"),
        ("@.tags all ['x', 'y']", "A"),
        ("@.tags == ['x','y']", "A"),
        ("@.by == {'name': 'Ann', 'age': 40}", "C"),
        ("@.tags[0] == 'x'", "A"),
        ("@.tags[*]", "A"),
        ("@.tags.length() == 2", "A"),
        ("@.by[?(@ > 1)]", ""),
        ("@.title =~ /[ab]/i", "AB"),
        ("@.title =~ /[ab]/", ""),
        ("@.price =~ /\\d+\\.\\d/", "B"),
        ("@.tags =~ /y+/", "A"),
        ("/A|C/ =~ @.title", "AC"),
        ("@.nobody =~ /.*/", ""),
        ("true", None),
    ],
)
def test_filter_keeps_what_fits(condition: str, titles: str | None) -> None:
    found = find(f"books[?({condition})].title")

    assert found == (None if titles is None else list(titles))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("n[?(@ > 2)]", [3, 4]),
        ("mixed[?(@ == 1)]", [1, "1"]),
        ("mixed[?(@ == true)]", [True]),
        ("mixed[?(@ == null)]", [None]),
        ("mixed[?(@ == '1')]", [1, "1"]),
        ("mixed[?(@.v == 1)]", [{"v": 1}]),
        ("map[?(@.a == 1)].b.a", [2]),
        ("map[?(@.a == 2)]", []),
        ("limit[?(@ > 1)]", []),
        ("nobody[?(@.x)]", []),
    ],
)
def test_filter_looks_at_elements_of_lists_and_at_maps_themselves(path: str, expected: object) -> None:
    assert find(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("n.length()", 4),
        ("map.length()", 3),
        ("map.size()", 3),
        ("words[0].length()", None),
        ("nobody.length()", None),
        ("n.sum()", 10.0),
        ("n.min()", 1.0),
        ("n.max()", 4.0),
        ("n.avg()", 2.5),
        ("n.stddev()", 1.118033988749895),
        ("words.sum()", None),
        ("books[*].price.sum()", 43.5),
        ("books[?(@.price > 10)].price.max()", 23.0),
        ("books[*].tags.length()", [2, 0]),
        ("n.first()", 1),
        ("n.last()", 4),
        ("n[0:1].last()", 1),
        ("n.index(1)", 2),
        ("n.index(-1)", 4),
        ("n.index(9)", None),
        ("books.first().title", "A"),
        ("books.last().by.keys()", ["name", "age"]),
        ("n.keys()", None),
        ("words.concat()", "abcb"),
        ("words.concat('-', $.s.output.words, 1)", "abcb-abcb1"),
        ("n.append(5)", [1, 2, 3, 4, 5]),
        ("n.append(5).sum()", 15.0),
        ("limit.append(5)", 10),
    ],
)
def test_functions_apply_to_what_the_path_gives(path: str, expected: object) -> None:
    assert find(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.sum($.s.output.n[*])", 10.0),
        ("$.length($.s.output.n)", 4),
        ("concat($.s.output.words, '!')", "abcb!"),
        ("$..title", []),
        ("$[*]", []),
    ],
)
def test_root_takes_functions_of_paths_but_is_never_built(path: str, expected: object) -> None:
    assert resolve_text(f"${{{path}}}", DocumentScope({"s": {"output": STORE}})) == expected


def test_append_leaves_the_document_as_it_was() -> None:
    before = list(STORE["n"])  # type: ignore[call-overload]

    find("n.append(5)")

    assert STORE["n"] == before


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "a.", "a..", "a...b", "$a", "a b", "a[", "a[]", "a['b", "a['b'", "a['b',]", "a[b]",
        "a[1:2", "a[:]", "a[1,]", "a[1 2]", "a[99999999999]", "a[?]", "a[?@.x]", "a[?(]", "a[?()]",
        "a[?(@.x > )]", "a[?(@.x ~ 1)]",
        "a[?(@.x is 1)]", "a[?(@x)]", "a[?(1)]", "a[?(@.x == 1]", "a[?(@.x == nope)]", "a[?(@.x =~ 'y')]",
        "a[?(@.x == /y/)]", "a[?(@.x =~ /y)]", "a[?(@.x =~ /(/)]", "a.length(", "a.length()b c", "a.nope()",
        "a['\\u12']", "a[?(@.x in [1,)]", "a[?(@.x in {1})]",
    ],
)  # fmt: skip
def test_malformed_path_is_refused_with_its_text(path: str) -> None:
    with pytest.raises(JsonPathError) as refused:
        compile_path(path)

    assert refused.value.expression == path
    assert refused.value.code == "invalid_expression"


@pytest.mark.parametrize(
    "path",
    [
        "a" * 10_001, ".".join("a" * 300), "a" + "[?(@" * 30, "a[?(" + "(" * 30 + "@.x",
        "a[?(@ in " + "[" * 30, "a[?(" + "!" * 30,
    ],
)  # fmt: skip
def test_path_is_bounded_in_length_and_nesting(path: str) -> None:
    with pytest.raises(JsonPathError, match=r"longer than|more than|nested deeper"):
        compile_path(path)


def test_results_are_bounded() -> None:
    scope = DocumentScope({"s": {"output": {"x": [list(range(1000))] * 101}}})

    assert len(resolve_text("${s.output.x[0:100][*]}", scope)) == 100_000  # type: ignore[arg-type]
    with pytest.raises(LimitExceeded, match="results"):
        resolve_text("${s.output.x[*][*]}", scope)


@pytest.mark.parametrize("path", ["x..y..y..y..y..y..y", "x..[?(@..y == 1)]", "x..[?($.s.output.x..y == 1)]"])
def test_work_is_bounded(path: str) -> None:
    document: object = 1
    for _ in range(400):
        document = {"y": document, "z": [1, 2, 3]}
    scope = DocumentScope({"s": {"output": {"x": [document] * 40}}})

    with pytest.raises(LimitExceeded, match=r"work|results"):
        resolve_text(f"${{s.output.{path}}}", scope)


def test_depth_of_a_document_under_descent_is_bounded() -> None:
    document: object = 1
    for _ in range(2000):
        document = [document]

    with pytest.raises(LimitExceeded, match="depth"):
        resolve_text("${x..a}", DocumentScope({"x": document}))
