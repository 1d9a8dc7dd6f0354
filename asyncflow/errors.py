"""Every exception asyncflow raises, one base, stable codes.

The docstring of a class is what a user should do about it. This module imports nothing of
ours; `app/` and `http/` hold the tables that map families to exit codes and HTTP statuses.
"""

from __future__ import annotations

from dataclasses import dataclass


class AsyncflowError(Exception):
    """Catch this to catch everything asyncflow raises on purpose.

    Attributes:
        code: stable, lower-case identifier of the error; part of the public contract.
    """

    code: str = "asyncflow_error"


# --- definition: what was handed in is not well formed -------------------------------------


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault found in a definition or input: where it is, and why it is refused."""

    path: str
    message: str

    def __str__(self) -> str:
        """The path and the reason, as one line."""
        return f"{self.path}: {self.message}" if self.path else self.message


class DefinitionError(AsyncflowError):
    """Correct the definition: every violation names its path and, where there is one, the limit."""

    code = "invalid_definition"

    def __init__(self, violations: list[Violation]) -> None:
        """Carry all violations found, so that one round of corrections is enough."""
        super().__init__("; ".join(str(v) for v in violations))
        self.violations = violations


class InvalidInput(AsyncflowError):
    """Correct the request: the message names the field and what was expected of it."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str = "") -> None:
        """Name the offending field, as a path, and the reason."""
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class LimitExceeded(AsyncflowError):
    """Send less, or raise the named limit in the configuration."""

    code = "limit_exceeded"

    def __init__(self, limit: str, *, allowed: int, actual: int | None = None) -> None:
        """Name the limit, what it allows, and, where it is known, what was asked."""
        got = "" if actual is None else f", got {actual}"
        super().__init__(f"{limit}: at most {allowed}{got}")
        self.limit, self.allowed, self.actual = limit, allowed, actual


# --- refused: well formed, but not possible in this state ----------------------------------


class Overloaded(AsyncflowError):
    """Send it again in a moment: more waits to be decided than may."""

    code = "overloaded"


class Refused(AsyncflowError):
    """The command does not fit the present state of the execution; read its status, then decide."""

    code = "refused"


class Conflict(AsyncflowError):
    """Something of that name or key exists already, or is in a state that excludes the request."""

    code = "conflict"


class KeyReused(Conflict):
    """The idempotency key came with another request before: take a new key, or send that request again."""

    code = "idempotency_key_reused"


class NotFound(AsyncflowError):
    """Check the id, name or version: nothing is stored under it."""

    code = "not_found"

    def __init__(self, kind: str, name: str) -> None:
        """Name what was looked for."""
        super().__init__(f"no such {kind}: {name}")
        self.kind, self.name = kind, name


# --- who asks: credentials -------------------------------------------------------------------


class Unauthenticated(AsyncflowError):
    """Send an API key, or a token got with one, that is good now."""

    code = "unauthenticated"

    def __init__(self, message: str, *, error: str = "INVALID_TOKEN", key_id: str = "") -> None:
        """Say why, but nothing of the credentials; `error` is the word that Conductor's clients look at.

        `key_id` names the key of somebody who has its secret, and may not come in all the same.
        """
        super().__init__(message)
        self.error, self.key_id = error, key_id


# --- tasks: raised by authors' code and by plugins -----------------------------------------


class TaskFailed(AsyncflowError):
    """Raise it in a task to fail the attempt with this reason; retries follow their policy."""

    code = "task_failed"


class TerminalTaskFailed(TaskFailed):
    """Raise it in a task to fail the task for good: no retry follows."""

    code = "task_failed_terminally"


class ExecutionFailed(AsyncflowError):
    """The execution ended unsuccessfully: read its reason, and retry or rerun it once that is mended."""

    code = "execution_failed"

    def __init__(
        self, execution_id: str, status: str, reason: str | None, *, output: dict[str, object] | None = None
    ) -> None:
        """Carry how it ended and what it gave."""
        super().__init__(f"execution {execution_id} ended {status}: {reason or 'no reason given'}")
        self.execution_id, self.status, self.reason = execution_id, status, reason
        self.output = output or {}


class ScriptError(AsyncflowError):
    """A script of the definition failed or went over a limit; the message is the interpreter's."""

    code = "script_error"


class StoredByReference(AsyncflowError):
    """Hand the value on whole, or read it in a task: no expression can look into a stored payload."""

    code = "stored_by_reference"


# --- the house ------------------------------------------------------------------------------


class StoreError(AsyncflowError):
    """The database cannot be used as it is; the message says what was found and what to do."""

    code = "store_error"


class StoreLocked(StoreError):
    """Another process holds the database file: stop it, or use another file."""

    code = "store_locked"


class NotCommitted(StoreError):
    """The turn is surely not in the database: free space or the lock, then append the same turn again."""

    def __init__(self, message: str, *, code: str) -> None:
        """Say why; `code` is `storage_full` or `storage_busy`."""
        super().__init__(message)
        self.code = code


class PayloadUnavailable(StoreError):
    """A stored payload cannot be written or read: mend the payload folder, then retry the task.

    Its `code` is `payload_missing`, `payload_unreadable` or `payload_not_stored`, which may pass; or
    `payload_corrupt`, `payload_reference_invalid` or `payload_folder_unset`, which last until mended.
    """

    def __init__(self, code: str, message: str) -> None:
        """Say why; the message begins with the code."""
        super().__init__(f"{code}: {message}")
        self.code = code

    @property
    def is_lasting(self) -> bool:
        """Whether another attempt finds the same."""
        return self.code in {"payload_corrupt", "payload_reference_invalid", "payload_folder_unset"}


class OutcomeUnknown(StoreError):
    """A commit may or may not have happened. The engine has stopped; start it again to read the truth."""

    code = "commit_outcome_unknown"


class ShuttingDown(AsyncflowError):
    """The engine is stopping and takes nothing new; ask again after its restart."""

    code = "shutting_down"


class ServerUnreachable(AsyncflowError):
    """No server is ready there: start one with `asyncflow serve`, or name another by ASYNCFLOW_SERVER."""

    code = "no_server"

    def __init__(self, url: str, reason: str) -> None:
        """Say where nobody answered, and what came instead."""
        super().__init__(f"{url}: {reason}")
        self.url, self.reason = url, reason


class ServerRefused(AsyncflowError):
    """The server understood and said no; its message says why."""

    code = "server_refused"

    def __init__(self, status: int, message: str) -> None:
        """Carry the HTTP status and the server's own words."""
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


class PluginError(AsyncflowError):
    """A plugin is missing, broken or incompatible; the message names it and the fault."""

    code = "plugin_error"


class ConfigurationError(AsyncflowError):
    """Correct the setting named in the message."""

    code = "configuration_error"
