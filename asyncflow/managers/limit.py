"""A resource that only limits: how many at once, how many in a time, who alone.

All of that is the engine's own admission; there is nothing to create, to ask or to destroy. Read
`plugins/resources` for what other managers do.
"""

from __future__ import annotations

from asyncflow.plugins.resources import ResourceManager


class LimitManager(ResourceManager):
    """Throttles or locks whoever names it; a printer, a table, a licence, a service that tasks call."""
