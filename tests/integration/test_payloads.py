"""What of a payload is stored: enough that the rest fits, and put in again as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic_core import to_json

from asyncflow.errors import LimitExceeded, PayloadUnavailable
from asyncflow.model.installation import Installation
from asyncflow.model.limits import Limits
from asyncflow.model.payload_reference import REFERENCE_BYTES, STORED_KEY, is_stored
from asyncflow.model.values import JsonObject
from asyncflow.runtime.payload_folder import PayloadFolder
from asyncflow.runtime.payloads import Payloads

LIMITS = Limits(payload_bytes=1_000, stored_payload_bytes=20_000)
NOBODY = {"sha256": "0" * 64, "bytes": 5}


@pytest.fixture
async def payloads(tmp_path: Path) -> Payloads:
    made = Payloads(PayloadFolder(tmp_path, installation=Installation("x")), LIMITS)
    await made.open()
    return made


def of_size(size: int, **beside: object) -> JsonObject:
    return {**beside, "text": "x" * (size - len(to_json({**beside, "text": ""})))}


def files(payloads: Payloads) -> int:
    assert payloads.folder is not None
    return len(list(payloads.folder.path.iterdir()))


async def test_value_at_the_limit_is_left_alone_and_one_past_it_is_stored(payloads: Payloads) -> None:
    at, past = of_size(1_000), of_size(1_001)

    assert await payloads.accept(at) is at
    assert files(payloads) == 0
    assert is_stored((await payloads.accept(past))["text"])
    assert files(payloads) == 1


async def test_stored_bytes_are_taken_at_their_limit_and_refused_past_it(payloads: Payloads) -> None:
    assert is_stored((await payloads.accept(of_size(20_000)))["text"])
    with pytest.raises(
        LimitExceeded, match=r"payload_too_large: stored_payload_bytes.*at most 20000, got 20001"
    ):
        await payloads.accept(of_size(20_001))
    assert files(payloads) == 1


async def test_without_a_folder_it_is_refused_as_ever() -> None:
    with pytest.raises(LimitExceeded, match="payload_too_large: task output: at most 1000, got 1001"):
        await Payloads(None, LIMITS).accept(of_size(1_001))


async def test_largest_members_go_until_the_rest_fits(payloads: Payloads) -> None:
    value: JsonObject = {"count": 7, "a": "x" * 700, "b": list(range(300)), "c": "x" * 300}
    accepted = await payloads.accept(dict(value))

    assert [key for key, member in accepted.items() if is_stored(member)] == ["a", "b"]
    assert len(to_json(accepted)) <= 1_000
    assert await payloads.hydrate(accepted) == value


async def test_reference_says_size_rows_and_limit(payloads: Payloads) -> None:
    rows = list(range(1_000))
    accepted = await payloads.accept({"rows": rows})
    reference = accepted["rows"]

    assert isinstance(reference, dict)
    facts = reference[STORED_KEY]
    assert isinstance(facts, dict)
    assert {**facts, "sha256": ""} == {
        "sha256": "",
        "bytes": len(to_json(rows)),
        "rows": 1_000,
        "limit": 1_000,
    }
    assert len(to_json(reference)) <= REFERENCE_BYTES


async def test_body_of_an_answer_goes_and_its_status_stays(payloads: Payloads) -> None:
    value: JsonObject = {"response": {"statusCode": 200, "body": "x" * 2_000, "headers": {"a": "b"}}}
    accepted = await payloads.accept({"response": dict(value["response"])})  # type: ignore[call-overload]
    response = accepted["response"]

    assert isinstance(response, dict)
    assert response["statusCode"] == 200
    assert is_stored(response["body"])
    assert await payloads.hydrate(accepted) == value


async def test_many_small_members_are_stored_as_a_whole(payloads: Payloads) -> None:
    value: JsonObject = {f"k{index}": index for index in range(1_000)}
    accepted = await payloads.accept(dict(value))

    assert is_stored(accepted)
    assert await payloads.hydrate(accepted) == value
    assert await payloads.hydrate({**accepted, "k1": "changed"}) == {**value, "k1": "changed"}


async def test_many_small_members_that_are_merged_are_refused(payloads: Payloads) -> None:
    with pytest.raises(LimitExceeded, match="payload_too_large"):
        await payloads.accept({f"k{index}": index for index in range(1_000)}, merged=True)
    assert files(payloads) == 0


async def test_what_holds_a_reference_is_not_stored_behind_another(payloads: Payloads) -> None:
    value: JsonObject = {"list": [{STORED_KEY: NOBODY}, "x" * 2_000]}

    with pytest.raises(LimitExceeded, match="payload_too_large"):
        await payloads.accept(value)
    assert files(payloads) == 0


@pytest.mark.parametrize(
    "facts",
    [
        "text",
        {},
        {"sha256": "../../../../etc/passwd", "bytes": 5},
        {"sha256": "0" * 63, "bytes": 5},
        {"sha256": "0" * 64 + "\n", "bytes": 5},
        {"sha256": "A" * 64, "bytes": 5},
        {"sha256": "0" * 64},
        {"sha256": "0" * 64, "bytes": -1},
        {"sha256": "0" * 64, "bytes": True},
        {"sha256": "0" * 64, "bytes": 5, "path": "elsewhere"},
        {"sha256": "0" * 64, "bytes": 5, "rows": {}},
    ],
)
async def test_forged_reference_is_refused_by_name(payloads: Payloads, facts: object) -> None:
    with pytest.raises(PayloadUnavailable, match="payload_reference_invalid"):
        await payloads.hydrate({"a": [{STORED_KEY: facts}]})


async def test_reference_to_nothing_is_missing(payloads: Payloads) -> None:
    with pytest.raises(PayloadUnavailable, match="payload_missing"):
        await payloads.hydrate({"a": {STORED_KEY: NOBODY}})


async def test_reference_without_a_folder_is_told_by_name() -> None:
    with pytest.raises(PayloadUnavailable, match="payload_folder_unset"):
        await Payloads(None, LIMITS).hydrate({STORED_KEY: NOBODY})


async def test_members_beside_a_list_are_refused(payloads: Payloads) -> None:
    accepted = await payloads.accept({"rows": list(range(1_000))})
    reference = accepted["rows"]

    assert isinstance(reference, dict)
    with pytest.raises(PayloadUnavailable, match="payload_reference_invalid"):
        await payloads.hydrate({**reference, "more": 1})


async def test_one_value_many_times_counts_as_often(payloads: Payloads) -> None:
    accepted = await payloads.accept(of_size(10_000))
    reference = accepted["text"]

    assert isinstance(await payloads.hydrate([reference, reference]), list)
    with pytest.raises(LimitExceeded, match="stored_payload_bytes"):
        await payloads.hydrate([reference, reference, reference])


async def test_text_that_names_the_reserved_key_is_stored_like_any_other(payloads: Payloads) -> None:
    value: JsonObject = {"rows": [STORED_KEY, f'"{STORED_KEY}":', "x" * 1_000]}
    accepted = await payloads.accept(dict(value))

    assert is_stored(accepted["rows"])
    assert await payloads.hydrate(accepted) == value
