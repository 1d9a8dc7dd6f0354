"""Free text of a search, made into an expression that the full-text index surely understands.

Every word is quoted, so nothing a person types is ever read as syntax of the index. `search_query`
reads the other half of a search.
"""

from __future__ import annotations

import re

from asyncflow.errors import InvalidInput

MOST_CHARACTERS = 2_000
"""Of one text."""

NOTHING = '"\ue000\ue000"'
"""An expression that no text matches: private characters that nobody would index together."""

_WORDS = 50
_PART = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')


def is_everything(text: str) -> bool:
    """Whether a text asks for no words at all."""
    return text.strip() in {"", "*"}


def matching(text: str) -> str:
    """The expression for a text: all of its words and "phrases"; `word*` begins so; OR between two.

    Raises:
        InvalidInput: it is too long, or has no UTF-8 form.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput(f"at most {MOST_CHARACTERS} characters, got {len(text)}", field="freeText")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("a lone surrogate has no UTF-8 form", field="freeText") from error
    groups: list[list[str]] = [[]]
    for phrase, phrase_star, word in _PART.findall(text):
        if word == "OR":
            groups.append([])
        elif word != "AND":
            term = _term(word.rstrip("*"), word.endswith("*")) if word else _term(phrase, bool(phrase_star))
            if term:
                groups[-1].append(term)
    if sum(map(len, groups)) > _WORDS:
        raise InvalidInput(f"at most {_WORDS} words", field="freeText")
    return " OR ".join(f"({' AND '.join(group)})" for group in groups if group) or NOTHING


def words(text: str) -> list[str]:
    """The plain words and phrases of a text, for what is searched without an index.

    Raises:
        InvalidInput: as `matching`.
    """
    matching(text)
    found = [(phrase or word).strip("*") for phrase, _, word in _PART.findall(text)]
    return [word for word in found if word and word not in {"AND", "OR"}]


def _term(text: str, begins: bool) -> str:  # noqa: FBT001 - private, and of one call each
    clean = text.replace('"', " ").replace("\0", " ").strip()
    if not any(char.isalnum() for char in clean):
        return ""
    return f'"{clean}"{" *" if begins else ""}'
