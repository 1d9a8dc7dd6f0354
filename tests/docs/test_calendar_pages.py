"""What the pages on schedules and events show can be sent as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

from asyncflow.app.event_definitions import parse_handler
from asyncflow.app.event_delivery import RETRY_DELAYS_S
from asyncflow.app.schedule_definitions import parse_schedule
from asyncflow.app.schedule_firing import MOST_CAUGHT_UP
from asyncflow.model.cron import parse_cron
from asyncflow.model.limits import DEFAULT_LIMITS

BLOCK = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CRON = re.compile(r"`([0-9*/?,L#W-]+(?: [0-9A-Z*/?,#-]+){5}|@[a-z]+)`")


def page(checkout: Path, name: str) -> str:
    return (checkout / "docs" / name).read_text(encoding="utf-8")


def test_schedules_on_the_page_are_taken(checkout: Path) -> None:
    text = page(checkout, "schedules.md")
    bodies = [json.loads(block) for block in BLOCK.findall(text)]
    expressions = CRON.findall(text)

    assert [parse_schedule(body, limits=DEFAULT_LIMITS).name for body in bodies] == ["nightly"]
    assert len(expressions) >= 10
    assert all(parse_cron(expression) for expression in expressions)
    assert f"at most {MOST_CAUGHT_UP:,} of" in text


def test_handlers_on_the_page_are_taken(checkout: Path) -> None:
    text = page(checkout, "events.md")
    bodies = [json.loads(block) for block in BLOCK.findall(text)]
    first, second, third = RETRY_DELAYS_S

    assert [parse_handler(body, limits=DEFAULT_LIMITS).name for body in bodies] == ["paid orders"]
    assert f"after {first}, {second} and {third} seconds" in text
