"""The REST surface: Conductor's paths and our own, on aiohttp.

It turns requests into calls of `app` and their results into JSON; it decides nothing. Read `routing`
for how a route is written, `server` for what happens to a request, `tables` for the list of routes.
"""

from __future__ import annotations
