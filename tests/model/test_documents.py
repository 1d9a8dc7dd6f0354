from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json as encode

from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.model.documents import Format, Purpose, parse_document
from asyncflow.model.json_values import find_fault
from asyncflow.model.limits import DEFAULT_LIMITS, Limits

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def refusal(text: str | bytes, format: Format = "guess") -> str:  # noqa: A002 - the name it is passed on as
    with pytest.raises(InvalidInput) as refused:
        parse_document(text, format=format)
    return str(refused.value)


def exceeded(text: str | bytes, purpose: Purpose = "definition", limits: Limits = DEFAULT_LIMITS) -> str:
    with pytest.raises(LimitExceeded) as refused:
        parse_document(text, purpose=purpose, limits=limits)
    return refused.value.limit


@given(JSON_VALUES)
def test_every_json_value_is_read_exactly(value: object) -> None:
    """Law: what can be written as JSON in UTF-8 comes back equal."""
    assert parse_document(encode(value), format="json") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ("\ufeffa: 1", {"a": 1}),
        (' \n[1, 2.5, -0.0, "x", null, true]', [1, 2.5, -0.0, "x", None, True]),
        ('["\\ud83d\\ude00", "😀", "\\u202e"]', ["😀", "😀", "\u202e"]),
        ('["\\u0000"]', ["\0"]),
        ('"text"', "text"),
        ("--- 5", 5),
    ],
)
def test_text_is_read(text: str | bytes, value: object) -> None:
    assert parse_document(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,}', "line 1 column 9"),
        ('{"a": 1} x', "line 1 column 10"),
        ("[1,\n 2,\n x]", "line 3 column 2"),
        ('{"a": {"b": 1},\n "a": 2}', "duplicate key 'a' at line 2 column 2"),
        ('{"x": [{"a": 1, "\\u0061": 2}]}', "duplicate key 'a' at line 1 column 17"),
        ('{"a": "a", "b": ["a", "a"], "b": 1}', "duplicate key 'b' at line 1 column 29"),
        ("[1, NaN]", "not a finite number: NaN at line 1 column 5"),
        ('["NaN", Infinity]', "not a finite number: Infinity at line 1 column 9"),
        ('{"a": -Infinity}', "not a finite number: -Infinity at line 1 column 7"),
        ('{"1e999": [1e999]}', "not a finite number: 1e999 at line 1 column 12"),
        ('{"a": ["\\ud800"]}', "a[0]: text with a lone surrogate"),
        ('{"a": {"\\uDC00": 1}}', "a: key is text with a lone surrogate"),
        ('{"a": "\ud800"}', "a lone surrogate at character 7"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        ("[\0]", "line 1 column 2"),
        ('["a\nb"]', "line 1 column 4"),
    ],
)
def test_bad_json_is_refused_with_its_place(text: str | bytes, message: str) -> None:
    assert message in refusal(text)


@pytest.mark.parametrize("text", ["", " ", "nul", '"a', "[1", "{", "]"])
def test_incomplete_json_is_refused(text: str) -> None:
    assert "not JSON" in refusal(text, "json")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: no", {"on": "no"}),
        ("yes: y", {"yes": "y"}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: 012", {"a": "012"}),
        ("a: 0x1f", {"a": "0x1f"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: =", {"a": "="}),
        ("a: 10", {"a": 10}),
        ("a: -1.5e3", {"a": -1500.0}),
        ("a: True", {"a": True}),
        ("a:", {"a": None}),
        ("a: ~", {"a": None}),
        ("a: 'null'", {"a": "null"}),
        ('a: "5"', {"a": "5"}),
        ("a: !!str 5", {"a": "5"}),
        ("1: x\nnull: y\ntrue: z", {"1": "x", "null": "y", "true": "z"}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ('a: "\\0"', {"a": "\0"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("&k a: 1\nb: *k", {"a": 1, "b": "a"}),
        ("- ${workflow.input.x}\n- '{}'", ["${workflow.input.x}", "{}"]),
    ],
)
def test_yaml_knows_the_types_of_json_only(text: str, value: object) -> None:
    parsed = parse_document(text, format="yaml")

    assert parsed == value
    assert encode(parsed) == encode(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("a:\n\t- b", "line 2 column 1"),
        ("a: 1\nb: 2\na: 3", "duplicate key 'a' at line 3 column 1"),
        ("'1': a\n1: b", "duplicate key '1' at line 2 column 1"),
        ("a: .inf", "not a finite number: .inf at line 1 column 4"),
        ("a: -.INF", "not a finite number"),
        ("a: .NaN", "not a finite number"),
        ("a: 1e999", "not a finite number: '1e999' at line 1 column 4"),
        ("? [a]\n: 1", "a key must be text, at line 1 column 3"),
        ("a: &x [1]\n*x : 2", "a key must be text"),
        ("a: &x [*x]", "an alias within what it repeats: 'x' at line 1 column 8"),
        ("a: *y", "an unknown alias: 'y' at line 1 column 4"),
        ("a: &x {b: 1}\nc: {<<: *x}", "merge keys (<<) are not taken, at line 2 column 5"),
        ("--- 1\n--- 2", "one document only, another begins at line 2 column 1"),
        ("# nothing", "holds no document"),
        ("a: !!python/object/apply:os.system ['true']", "a tag is not JSON"),
        ("a: !!binary aGk=", "a tag is not JSON: 'tag:yaml.org,2002:binary' at line 1 column 4"),
        ("a: !!set {x}", "a tag is not JSON"),
        ("a: !!int 5", "a tag is not JSON"),
        ('a: "\\ud800"', "not YAML"),
        ("a: \x01", "not YAML"),
        ("a: \0", "not YAML"),
    ],
)
def test_bad_yaml_is_refused_with_its_place(text: str, message: str) -> None:
    assert message in refusal(text, "yaml")


@pytest.mark.parametrize("format", ["json", "yaml", "guess"])
@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000, "[\n" * 100_000, '[{"a":' * 100_000],
)
def test_deep_nest_is_refused_by_its_limit(text: str, format: Format) -> None:  # noqa: A002 - as above
    with pytest.raises(LimitExceeded) as refused:
        parse_document(text, format=format)

    assert (refused.value.limit, refused.value.allowed) == ("definition_depth", 256)


def test_deep_block_nest_is_refused_by_its_limit() -> None:
    assert exceeded("- " * 100_000) == "definition_depth"


@pytest.mark.parametrize(
    ("purpose", "depth", "limit"),
    [
        ("definition", 256, "definition_depth"),
        ("request", 256, "definition_depth"),
        ("value", 64, "document_depth"),
    ],
)
def test_depth_is_taken_at_the_limit_and_refused_past_it(purpose: Purpose, depth: int, limit: str) -> None:
    for format_, prefix in (("json", ""), ("yaml", "---\n")):
        nest = prefix + "[" * depth + "]" * depth
        parse_document(nest, purpose=purpose, format=format_)  # type: ignore[arg-type]  # a loop over literals
        assert exceeded(f"{prefix}[{nest.removeprefix(prefix)}]", purpose) == limit


def test_brackets_inside_text_are_no_depth() -> None:
    text = '["' + '[{\\"' * 1_000 + '"]'

    assert parse_document(text) == ['[{"' * 1_000]


@pytest.mark.parametrize(
    ("purpose", "size", "limit"),
    [("definition", 4 * 2**20, "definition_bytes"), ("request", 8 * 2**20, "request_bytes")],
)
def test_size_is_taken_at_the_limit_and_refused_past_it(purpose: Purpose, size: int, limit: str) -> None:
    largest = '["' + "a" * (size - 4) + '"]'

    assert parse_document(largest, purpose=purpose) == ["a" * (size - 4)]
    assert exceeded(largest + " ", purpose) == limit
    assert exceeded(largest.encode() + b" ", purpose) == limit


def test_size_is_counted_in_bytes() -> None:
    limits = Limits(definition_bytes=8)

    assert parse_document('["éé"]', limits=limits) == ["éé"]
    assert exceeded('["ééa"]', limits=limits) == "definition_bytes"


@pytest.mark.parametrize("text", ["[{}]", "---\n- {}"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_integer_is_taken_at_the_limit_and_refused_past_it(text: str, sign: str) -> None:
    assert parse_document(text.format(sign + "1" * 4_300)) == [int(sign + "1" * 4_300)]
    assert exceeded(text.format(sign + "1" * 4_301)) == "integer_digits"


def test_alias_bomb_is_refused_by_its_size() -> None:
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]

    assert exceeded("\n".join(lines)) == "definition_bytes"


def test_depth_made_of_aliases_is_bounded() -> None:
    lines = ["a0: &a0 [1]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 300)]

    assert exceeded("\n".join(lines)) == "definition_depth"


def test_unterminated_text_full_of_escaped_quotes_is_refused() -> None:
    """A scan that tried every quote as a start would take hours here."""
    brackets = '["[",' * 100  # enough of them that depth is counted

    assert "not JSON" in refusal(brackets + '"' + '\\"' * 1_500_000, "json")


@given(st.text() | st.binary() | st.text(alphabet='[]{}:,"\\ \n-&*ae1.!|?', max_size=60))
def test_no_text_raises_anything_but_a_refusal(text: str | bytes) -> None:
    for format_ in ("json", "yaml", "guess"):
        try:
            value = parse_document(text, format=format_)
        except (InvalidInput, LimitExceeded):
            continue
        assert find_fault(value, depth=256, nul=True) is None
