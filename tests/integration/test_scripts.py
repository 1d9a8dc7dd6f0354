from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncflow.errors import ScriptError
from asyncflow.runtime.scripts.evaluator import ScriptRequest, ScriptRunner, ScriptSettings
from asyncflow.runtime.scripts.javascript import check_javascript


@pytest.fixture(params=["thread", "process"])
async def runner(request: pytest.FixtureRequest) -> AsyncIterator[ScriptRunner]:
    async with ScriptRunner(ScriptSettings(mode=request.param)) as runner:
        yield runner


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$.a", 1),
        ("if ($.a > 0) { true; } else { false; }", True),
        ("(function(){ return $.list.length; })();", 2),
        ("function e(){ return $.a + 1 } e();", 2),
        ("const x = $.a; let y = 2; x + y", 3),
        ("var o = {}; o.k = [1, 2.0, 2.5]; o", {"k": [1, 2, 2.5]}),
        ("undefined", None),
        ("null", None),
        ("", None),
        ("NaN", None),
        ("[1/0, () => 1, Symbol('s')]", [None, None, None]),
        ("(() => 1)", None),
        ("new Date(0)", "1970-01-01T00:00:00.000Z"),
        ("'\\u0000\\ud83d\\ude00'", "\0\U0001f600"),
        ("console.log('x'); 7", 7),
        ("$.list?.map(x => x ** 2) ?? []", [1, 4]),
    ],
)
async def test_javascript_gives_value_of_last_statement(
    runner: ScriptRunner, source: str, expected: object
) -> None:
    result = await runner.run(ScriptRequest("javascript", source, {"a": 1, "list": [1, 2]}))

    assert result == expected


@pytest.mark.parametrize(
    ("source", "kind"), [("4/2", int), ("1e20", int), ("0.1+0.2", float), ("1e21", float)]
)
async def test_javascript_whole_numbers_become_integers(
    runner: ScriptRunner, source: str, kind: type
) -> None:
    assert type(await runner.run(ScriptRequest("javascript", source, None))) is kind


async def test_lambda_is_a_function_body(runner: ScriptRunner) -> None:
    body = "if ($.a) { return {b: $.a}; } // nothing else"

    assert await runner.run(ScriptRequest("lambda", body, {"a": 1})) == {"b": 1}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("\n\nmissing.field", "ReferenceError: missing is not defined (line 3)"),
        ("null.x", "TypeError: cannot read property 'x' of null (line 1)"),
        ("throw new RangeError('too far')", "RangeError: too far (line 1)"),
        ("throw 'plain text'", "plain text"),
        ("return 5", "SyntaxError: return not in a function"),
        ("10n", "BigInt"),
        ("const a = {}; a.a = a; a", "circular"),
        ("'\\ud800'", "not JSON"),
        ("let a = []; for (let i = 0; i < 300; i++) a = [a]; a", "not JSON"),
    ],
)
async def test_javascript_error_is_the_interpreters(runner: ScriptRunner, source: str, message: str) -> None:
    with pytest.raises(ScriptError) as raised:
        await runner.run(ScriptRequest("javascript", source, {}))

    assert message in str(raised.value)


async def test_javascript_leaves_nothing_behind(runner: ScriptRunner) -> None:
    given: dict[str, object] = {"a": 1, "list": [1]}
    poison = "$.a = 2; $.list.push(3); globalThis.kept = 1; Array.prototype.map = () => 'poison'; $.list"

    assert await runner.run(ScriptRequest("javascript", poison, given)) == [1, 3]
    assert given == {"a": 1, "list": [1]}
    clean = ScriptRequest("javascript", "[typeof kept, ...$.list.map(x => x + 1)]", given)
    assert await runner.run(clean) == ["undefined", 2]


async def test_javascript_input_key_proto_is_data(runner: ScriptRunner) -> None:
    given = {"__proto__": {"admin": True}}

    assert await runner.run(ScriptRequest("javascript", "[$.admin, Object.keys($)]", given)) == [
        None,
        ["__proto__"],
    ]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("(function(){ return $.a; })();", None),
        ("while (true) {}", None),
        ("throw 0", None),
        ("throw new SyntaxError('not one')", None),
        ("(function(){ return 1;", "SyntaxError"),
        ("\n\nlet let = 1", "(line 3)"),
        ("}) + (", "SyntaxError"),
    ],
)
def test_check_javascript_finds_syntax_errors_only(source: str, fault: str | None) -> None:
    found = check_javascript(source)

    assert (found is None) if fault is None else (found is not None and fault in found)


@pytest.mark.parametrize(
    ("program", "given", "expected"),
    [
        (".a", {"a": 1}, [1]),
        (".[]", [1, "x", None], [1, "x", None]),
        ("empty", None, []),
        (".a + 0.5, .a / 2", {"a": 3}, [3.5, 1.5]),
        ("3.0", None, [3]),
        (".", 2**53 + 1, [2**53]),
        ("env, $ENV", None, [{}, {}]),
        ("[.[] | select(.age > 30) | .name]", [{"name": "A", "age": 31}, {"name": "B", "age": 3}], [["A"]]),
    ],
)
async def test_jq_gives_all_outputs(
    runner: ScriptRunner, program: str, given: object, expected: object
) -> None:
    result = await runner.run(ScriptRequest("jq", program, given))

    assert result == expected
    assert repr(result) == repr(expected)


@pytest.mark.parametrize(
    ("program", "message"),
    [("{", "compile error"), ('error("own words")', "own words"), (".a", "Cannot index number")],
)
async def test_jq_error_is_the_interpreters(runner: ScriptRunner, program: str, message: str) -> None:
    with pytest.raises(ScriptError, match=message):
        await runner.run(ScriptRequest("jq", program, 1))


@pytest.mark.parametrize("language", ["javascript", "lambda", "jq"])
async def test_scripts_switched_off_are_refused_by_name(language: str) -> None:
    async with ScriptRunner(ScriptSettings(mode="off")) as runner:
        with pytest.raises(ScriptError, match='scripts = "off"'):
            await runner.run(ScriptRequest(language, "1", None))  # type: ignore[arg-type]  # parametrised
