"""Laws: a named document is there after a restart as it was saved, with its times; a deleted one is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.app.build import open_service
from asyncflow.app.documents import Documents
from asyncflow.errors import NotFound


async def test_documents_survive_a_restart(tmp_path: Path) -> None:
    async with open_service(tmp_path / "flow.db") as service:
        schedules = Documents(service.engine, "schedule")
        await schedules.save("nightly", {"cron": "0 0 3 * * *"}, created_by="ada")
        await schedules.save("gone", {})
        await schedules.save("nightly", {"cron": "0 0 4 * * *"})
        await schedules.delete("gone")
        times = schedules.times_ms("nightly")
    async with open_service(tmp_path / "flow.db") as service:
        schedules = Documents(service.engine, "schedule")
        assert schedules.all() == {"nightly": {"cron": "0 0 4 * * *"}}
        assert schedules.times_ms("nightly") == times
        assert 0 < times[0] <= times[1]


async def test_documents_of_kinds_do_not_meet(tmp_path: Path) -> None:
    async with open_service(tmp_path / "flow.db") as service:
        await Documents(service.engine, "schedule").save("same", {"a": 1})
        handlers = Documents(service.engine, "event_handler")
        with pytest.raises(NotFound, match="no such event handler: same"):
            handlers.get("same")
        with pytest.raises(NotFound, match="no such event handler: same"):
            await handlers.delete("same")
        assert Documents(service.engine, "schedule").get("same") == {"a": 1}
