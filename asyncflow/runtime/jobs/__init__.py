"""Jobs of the outside: handed in, found again, watched, cancelled, and reported.

Nothing here decides what becomes of a task; every answer of a service becomes a report. Begin reading at
`watching`, which has the class `Jobs` that the engine knows.
"""

from __future__ import annotations

from asyncflow.runtime.jobs.watching import Jobs

__all__ = ["Jobs"]
