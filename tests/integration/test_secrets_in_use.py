"""Laws: what a body gives back holds no secret in any common form, and its attempt ends for all secrets."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from urllib.parse import quote

import pytest

import asyncflow as af
from asyncflow.model.inputs import AttemptEnded
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from asyncflow.runtime.secrets_in_use import SecretsInUse
from tests.integration.engine_support import simple, workflow


def masked(secret: str, output: JsonObject, *, asked: str = "s", reason: str | None = None) -> AttemptEnded:
    """What is left of a report of a body that was given the secret."""
    secrets = SecretsInUse({"s": secret})
    secrets.fill({"given": f"${{workflow.secrets.{asked}}}"})
    return secrets.mask(AttemptEnded(1, COMPLETED, output, reason))


@pytest.mark.parametrize(
    ("output", "left"),
    [
        ({"pin": 1234, "text": "pin 1234"}, {"pin": "***", "text": "pin ***"}),
        ({"list": [51234.5, True, None]}, {"list": ["***", True, None]}),
        ({"1234": {"in": "x1234y"}}, {"***": {"in": "x***y"}}),
        ({"n": 12}, {"n": 12}),
    ],
)
def test_secret_of_digits_is_masked_in_numbers_and_names(output: JsonObject, left: JsonObject) -> None:
    assert masked("1234", output).output == left


async def test_attempt_whose_secret_is_a_number_ends(tmp_path: Path) -> None:
    @af.task(retries=0)
    async def pin(given: str) -> JsonObject:
        return {"pin": int(given)}

    body = workflow("w", [simple("pin", inputParameters={"given": "${workflow.secrets.pin}"})])
    settings = EngineSettings(secrets={"pin": "4711"})
    async with af.Engine(tmp_path / "a.db", tasks=[pin], settings=settings) as engine:
        async with asyncio.timeout(60):
            state = await (await engine.start(body)).ended()

    assert state.tasks[1].output == {"pin": "***"}


@pytest.mark.parametrize(
    "form",
    [
        lambda value: value,
        lambda value: quote(value, safe=""),
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    ],
    ids=["plain", "url", "base64", "base64url"],
)
def test_secret_is_masked_in_the_forms_of_urls_and_headers(form) -> None:  # type: ignore[no-untyped-def]
    secret = "hunter/2 ?>ÿÿ>"
    report = masked(secret, {"echo": f"<{form(secret)}>"}, reason=f"refused {form(secret)}")

    assert form(secret).rstrip("=") not in f"{report.output} {report.reason}"
    assert "***" in str(report.output)
    assert "***" in str(report.reason)


def test_member_of_a_secret_that_holds_json_is_masked() -> None:
    report = masked('{"user": "al", "keys": ["hunter22"]}', {}, asked="s.keys[0]", reason="not hunter22")

    assert report.reason == "not ***"


class Sealed(dict[str, str]):
    """Secrets of a vault that cannot be opened now."""

    def get(self, key: str, default: object = None) -> str:
        raise ConnectionError("the vault does not answer")


async def test_attempt_whose_secret_cannot_be_looked_up_fails(tmp_path: Path) -> None:
    @af.task(retries=0)
    async def login(given: str) -> None:
        raise AssertionError(given)

    body = workflow("w", [simple("login", inputParameters={"given": "${workflow.secrets.api}"})])
    settings = EngineSettings(secrets=Sealed(api="x"))
    async with af.Engine(tmp_path / "a.db", tasks=[login], settings=settings) as engine:
        async with asyncio.timeout(60):
            state = await (await engine.start(body)).ended()

    assert state.tasks[1].reason == "the attempt broke: ConnectionError"
