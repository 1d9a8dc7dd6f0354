"""Which route a method and a path mean: a tree of path segments, literal ones before variable ones.

A path is split before it is decoded, so an escaped slash stays part of a name. It knows routes and
nothing of requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from asyncflow.http.parameters import decoded
from asyncflow.http.routing import Route

_End = tuple[Route, tuple[str, ...]]
"""A route and the names of its variable parts."""


@dataclass(slots=True)
class _Place:
    """A node of the tree: what may follow here, and the routes that end here by method."""

    literal: dict[str, _Place] = field(default_factory=dict)
    variable: _Place | None = None
    rest: _Place | None = None
    routes: dict[str, _End] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A route and the variable parts of the path."""

    route: Route
    path: dict[str, str]


class Matcher:
    """All routes, for look-up."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Take routes in.

        Raises:
            ValueError: two of them mean the same method and path.
        """
        self._root = _Place()
        self._plain: dict[tuple[str, str], Found] = {}
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        place, names = self._root, []
        for segment in route.path.split("/")[1:]:
            if not segment.startswith("{"):
                place = place.literal.setdefault(segment, _Place())
                continue
            names.append(segment[1:-1].rstrip("*"))
            if segment.endswith("*}"):
                place.rest = place.rest or _Place()
                place = place.rest
            else:
                place.variable = place.variable or _Place()
                place = place.variable
        if route.method in place.routes:
            raise ValueError(f"two routes for {route.method} {route.path}")
        place.routes[route.method] = route, tuple(names)
        if not names:
            self._plain[route.method, route.path] = Found(route, {})

    def find(self, method: str, path: str) -> Found | None:
        """The route for a path as it was sent, without its query; HEAD is GET where that changes nothing.

        Raises:
            InvalidInput: an escape in a variable part is broken.
        """
        if method != "HEAD":
            return self._found(method, path)
        found = self._found("GET", path)
        return found if found is not None and found.route.answers_head else None

    def _found(self, wanted: str, path: str) -> Found | None:
        plain = self._plain.get((wanted, path))
        if plain is not None:
            return plain
        segments = path.split("/")
        found = self._first(wanted, segments)
        if found is None:
            ends = _walk(self._root, segments, 1)
            found = next(((place.routes[wanted], raw) for place, raw in ends if wanted in place.routes), None)
        if found is None:
            return None
        (route, names), values = found
        return Found(route, dict(zip(names, map(decoded, values), strict=True)))

    def _first(self, method: str, segments: list[str]) -> tuple[_End, list[str]] | None:
        """What the most literal way leads to, without looking for others: nearly always the answer."""
        place, values = self._root, []
        for segment in segments[1:]:
            following = place.literal.get(segment)
            if following is None:
                following = place.variable if segment else None
                values.append(segment)
            if following is None:
                return None
            place = following
        end = place.routes.get(method)
        return None if end is None else (end, values)

    def allowed(self, path: str) -> list[str]:
        """The methods that a path has routes for, sorted; empty if there is no such path."""
        ends = [end for place, _ in _walk(self._root, path.split("/"), 1) for end in place.routes.values()]
        methods = {route.method for route, _ in ends}
        if any(route.answers_head for route, _ in ends):
            methods.add("HEAD")
        return sorted(methods | {"OPTIONS"}) if methods else []


def _walk(place: _Place, segments: list[str], index: int) -> Iterator[tuple[_Place, list[str]]]:
    """The places a path may mean, the most literal first, each with the raw variable parts."""
    if index == len(segments):
        if place.routes:
            yield place, []
        return
    segment = segments[index]
    following = place.literal.get(segment)
    if following is not None:
        yield from _walk(following, segments, index + 1)
    if place.variable is not None and segment:
        for end, values in _walk(place.variable, segments, index + 1):
            yield end, [segment, *values]
    if place.rest is not None:
        yield place.rest, ["/".join(segments[index:])]
