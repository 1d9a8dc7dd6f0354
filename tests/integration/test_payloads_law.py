"""Law: whatever is too large is recorded within the limit, and put in again it is what it was."""

from __future__ import annotations

import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from asyncflow.model.installation import Installation
from asyncflow.model.limits import Limits
from asyncflow.model.payload_reference import STORED_KEY, names_in
from asyncflow.model.values import JsonObject
from asyncflow.runtime.payload_folder import PayloadFolder
from asyncflow.runtime.payloads import Payloads

LIMIT = 600
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=900)
keys = texts.filter(lambda text: text != STORED_KEY)  # it is reserved
leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | texts
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(keys, inner, max_size=8),
    max_leaves=30,
)
objects = st.dictionaries(keys, values, max_size=8)


@settings(max_examples=60, deadline=None)
@given(objects)
async def test_what_is_accepted_fits_and_comes_back(value: JsonObject) -> None:
    before = to_json(value)
    with tempfile.TemporaryDirectory() as root:
        payloads = Payloads(PayloadFolder(root, installation=Installation("x")), Limits(payload_bytes=LIMIT))
        await payloads.open()
        accepted = await payloads.accept(value)
        text = to_json(accepted)
        assert payloads.folder is not None
        facts = payloads.folder.facts(names_in(text))

        assert len(text) <= LIMIT
        assert to_json(await payloads.hydrate(accepted)) == before
        assert (facts.unnamed, facts.missing) == (0, ())
