"""The aliases for JSON values that cross our layers.

User payloads are plain JSON values; nothing inside asyncflow looks into them except
expressions and scripts. Shapes that we own are models or records, never these aliases.
"""

from __future__ import annotations

from collections.abc import Mapping

JsonValue = object
"""Any JSON value: None, bool, int, float, str, a list or a dict with text keys."""

JsonObject = dict[str, object]
"""A JSON object that its holder may change."""

JsonMapping = Mapping[str, object]
"""A JSON object that its holder only reads."""
