"""Which version a start gets that names none: canary and A/B by rules per workflow, and the way back.

Rules are documents, so a change holds for the next start. What names a version, a sub-workflow bound to
one or started by an execution included, is never routed. The rules are read by `app/routing_rules`.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from asyncflow.app.documents import Documents
from asyncflow.app.routing_rules import Rule, Rules, parse_rules, position
from asyncflow.errors import Conflict, InvalidInput, LimitExceeded, NotFound, PayloadUnavailable, ScriptError
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.scripts.evaluator import ScriptRequest

log = logging.getLogger("asyncflow.routing")

KIND = "routing"


class Choice(NamedTuple):
    """The version a start gets, and which rule says so."""

    version: int
    why: str


class VersionRouting:
    """The rules of one engine, by workflow name."""

    def __init__(self, engine: Engine) -> None:
        """Serve the rules that are stored."""
        self._engine = engine
        self._documents = Documents(engine, KIND)
        self._parsed: dict[str, tuple[JsonObject, Rules]] = {}

    # --- documents --------------------------------------------------------------------------------

    async def save(self, name: str, body: JsonObject, *, by: str = "") -> JsonObject:
        """Store the rules of a workflow, or replace them; durable at return.

        Raises:
            InvalidInput: they are no rules, or name a version that is not registered.
            NotFound: no version of the workflow is registered.
        """
        self.check(name, body)
        document: JsonObject = {key: body[key] for key in ("rules", "default") if key in body}
        await self._documents.save(name, document, created_by=by)
        return self.get(name)

    def check(self, name: str, body: JsonObject) -> Rules:
        """The rules in a document, if they can be stored; raises as `save`."""
        if body.get("name", name) != name:
            raise InvalidInput(f"{name!r} is expected, as in the address", field="name")
        rules = parse_rules(body)
        known = self._versions(name)
        if not known:
            raise NotFound("workflow", name)
        for version in sorted(rules.versions() - known):
            raise InvalidInput(f"version {version} of {name} is not registered", field="version")
        return rules

    def get(self, name: str) -> JsonObject:
        """The rules of a workflow with their times; raises NotFound."""
        made_ms, changed_ms = self._documents.times_ms(name)
        body = self._documents.get(name)
        return {"name": name, "rules": [], **body, "createTime": made_ms, "updateTime": changed_ms}

    def all(self) -> list[JsonObject]:
        """The rules of every workflow that has any, by name."""
        return [self.get(name) for name in sorted(self._documents.all())]

    async def delete(self, name: str) -> None:
        """Forget the rules of a workflow: the highest version counts again; raises NotFound."""
        await self._documents.delete(name)

    async def roll_back(self, name: str, *, by: str = "") -> JsonObject:
        """Send every start to the default again, and keep what the rules were; done twice it changes nothing.

        Without a default it is the highest version that no rule names.

        Raises:
            NotFound: there are no rules.
            Conflict: every version that is registered is named by a rule, and none is the default.
        """
        body = self._documents.get(name)
        rules = self._rules(name, body)
        if not rules.rules:
            return self.get(name)
        default = rules.default
        if default is None:
            others = self._versions(name) - rules.versions()
            if not others:
                raise Conflict(f"routing of {name}: every version is in a rule, so say which is the default")
            default = max(others)
        former = {"rules": body.get("rules", []), "default": rules.default}
        document: JsonObject = {"rules": [], "default": default, "rolledBack": former}
        await self._documents.save(name, document, created_by=by)
        return self.get(name)

    # --- starts -----------------------------------------------------------------------------------

    async def choose(self, name: str, key: str, given: JsonObject) -> Choice | None:
        """The version of a start that names none, or None where the workflow has no rules.

        `key` is what stays the same for starts that belong together. A condition that fails, and a rule
        whose version is not registered any more, holds for nobody.
        """
        body = self._documents.all().get(name)
        if body is None:
            return None
        rules, place = self._rules(name, body), position(name, key)
        passed = ""
        for number, rule in enumerate(rules.rules, 1):
            if rule.version not in self._versions(name):
                passed = f"; rule {number} passed over: version {rule.version} is not registered"
                continue
            try:
                if await self._holds(rule, place, given):
                    return Choice(rule.version, f"rule {number}: {_said(rule)}")
            except (ScriptError, LimitExceeded, PayloadUnavailable) as error:
                passed = f"; rule {number} passed over: {error.code}"
                log.warning("routing condition failed", extra={"workflow": name, "reason": str(error)[:500]})
        known = self._versions(name)
        if not known:
            return None
        if rules.default in known:
            return Choice(rules.default, f"default{passed}")
        return Choice(max(known), f"highest version{passed}")

    async def _holds(self, rule: Rule, place: float, given: JsonObject) -> bool:
        if not rule.when:
            return rule.low <= place < rule.high
        return bool(await self._engine.scripts.run(ScriptRequest("javascript", rule.when, given)))

    def _rules(self, name: str, body: JsonObject) -> Rules:
        known = self._parsed.get(name)
        if known is None or known[0] is not body:
            known = self._parsed[name] = (body, parse_rules(body))
        return known[1]

    def _versions(self, name: str) -> set[int]:
        return set(self._engine.catalog.workflows.get(name, {}))


def _said(rule: Rule) -> str:
    return f"when {rule.when[:80]}" if rule.when else f"{rule.share:g} %"
