"""What is handed to a manager for one job, and what comes back made fit to be recorded.

Secrets and stored values are put in at the last moment, and secrets taken out of what comes back. The
token and the mark of a job are derived, so any process of this installation makes the same ones.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import cast

from pydantic import BaseModel
from pydantic_core import to_json

from asyncflow.errors import AsyncflowError
from asyncflow.ids import attempt_token
from asyncflow.model.installation import Installation
from asyncflow.model.jobs import JobState
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.payload_reference import STORED_MARK
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.plugins.inputs import read_input
from asyncflow.plugins.jobs import Job
from asyncflow.runtime.attempt_results import check_large_output, freeze_output
from asyncflow.runtime.jobs.callbacks import Callbacks
from asyncflow.runtime.payloads import Payloads
from asyncflow.runtime.secrets_in_use import NO_SECRETS, Redactor, SecretsInUse

_SECRETS_MARK = b"workflow.secrets"


class NotSent(Exception):
    """The job could not even be put together: nothing left this process."""

    def __init__(self, error: AsyncflowError) -> None:
        """See the class."""
        super().__init__(str(error))
        self.error = error


class Preparing:
    """Makes jobs of states, and outputs of answers.

    Attributes:
        redactor: takes every secret out of a text.
        callbacks: makes and checks the addresses that services call.
    """

    def __init__(
        self,
        installation: Installation,
        *,
        secrets: Mapping[str, str] | None = None,
        payloads: Payloads | None = None,
        limits: Limits = DEFAULT_LIMITS,
        callbacks: Callbacks | None = None,
    ) -> None:
        """Make nothing yet; `secrets` are their values by name."""
        self._installation, self._limits = installation, limits
        self._secrets: Mapping[str, str] = secrets or {}
        self._payloads = payloads or Payloads(None, limits)
        self.redactor = Redactor(self._secrets)
        self.callbacks = callbacks or Callbacks("", b"")

    def token(self, execution_id: str, job: JobState) -> str:
        """The job's token: the same for every delivery, of no other job."""
        return attempt_token(
            self._installation.of(job.intent_ms),
            execution_id,
            job.ref,
            attempt=job.serial,
            epoch=job.origin.epoch,
        )

    def named(self, state: ExecutionState, job: JobState, *, instance: str) -> Job:
        """The job without its input: enough to look for it. `instance` is the service's own handle."""
        return self._job(state, job, to_json(job.input), {}, instance)

    async def whole(
        self,
        state: ExecutionState,
        job: JobState,
        *,
        instance: str,
        models: Mapping[str, type[BaseModel]] | None = None,
    ) -> Job:
        """The job with all that its service needs.

        Args:
            models: by type of task what its input has to fit; None where it may be there already.

        Raises:
            NotSent: a stored value cannot be had, or the input is too deep for secrets or does not fit.
        """
        payload = to_json(job.input)
        given = job.input
        try:
            if _SECRETS_MARK in payload:
                given = SecretsInUse(self._secrets).fill(given)
            if STORED_MARK in payload:
                given = cast("JsonObject", await self._payloads.hydrate(given))
            if models is not None and job.origin.task_type in models:
                read_input(models[job.origin.task_type], given, job.origin.task_type)
        except AsyncflowError as error:
            raise NotSent(error) from error
        return self._job(state, job, payload, given, instance)

    def _job(
        self, state: ExecutionState, job: JobState, payload: bytes, given: JsonObject, instance: str
    ) -> Job:
        token = self.token(state.execution_id, job)
        return Job(
            token,
            hashlib.sha256(payload).hexdigest()[:8],
            given,
            job.origin.task_type,
            instance,
            state.execution_id,
            state.name,
            job.ref,
            job.origin.attempt,
            job.origin.fence,
            job.origin.code_version,
            self.callbacks.url(token),
            job.origin.timeout_s,
        )

    # --- what comes back --------------------------------------------------------------------------

    def frozen(self, job: JobState, output: object) -> tuple[JsonObject, int]:
        """The output as it may be recorded, without secrets, and its bytes; too large ones are for `stored`.

        Raises:
            InvalidInput, LimitExceeded: as `freeze_output`.
        """
        if not output and isinstance(output, Mapping):
            return {}, 2
        frozen, size = freeze_output(
            output, limit=self._payloads.most_bytes, checked=self._limits.payload_bytes
        )
        return self._secrets_of(job).masked(frozen), size

    def is_large(self, size: int) -> bool:
        """Whether an output of so many bytes has to be stored apart."""
        return size > self._limits.payload_bytes

    async def stored(self, output: JsonObject, size: int) -> JsonObject:
        """A large output, replaced by references as far as needed; raises as `Payloads.store_excess`."""
        await asyncio.to_thread(check_large_output, output)
        return await self._payloads.store_excess(output, size)

    def text(self, job: JobState, text: str) -> str:
        """A text for people without any secret."""
        del job
        return self.redactor.text(text)[:1_000]

    def _secrets_of(self, job: JobState) -> SecretsInUse:
        """The secrets that the job's input holds."""
        if not self._secrets or _SECRETS_MARK not in to_json(job.input):
            return NO_SECRETS
        used = SecretsInUse(self._secrets)
        used.fill(job.input)
        return used
