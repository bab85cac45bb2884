"""UUIDs of our own making are those of the standard library."""

from __future__ import annotations

import time
import uuid

from hypothesis import given
from hypothesis import strategies as st

from ingest.model.events import derive_id
from ingest.model.ids import uuid5, uuid7

ANY = st.characters(exclude_categories=())


@given(st.uuids(), st.text(ANY))
def test_a_name_has_the_same_uuid_as_in_the_standard_library(space: uuid.UUID, name: str) -> None:
    """It is equal, found in the same places, and printed alike."""
    try:
        standard = uuid.uuid5(space, name)
    except UnicodeEncodeError:
        return

    ours = uuid5(space, name)

    assert isinstance(ours, uuid.UUID)
    assert ours == standard
    assert hash(ours) == hash(standard)
    assert (str(ours), ours.version, ours.variant) == (str(standard), 5, uuid.RFC_4122)


@given(st.text(ANY), st.text(ANY))
def test_an_event_keeps_the_id_it_always_had(source: str, key: str) -> None:
    """Also of half a character, which no id can be made of as it stands."""
    name = f"{len(source)}:{source}:{key}".encode("utf-8", "backslashreplace").decode()

    assert derive_id(source, key) == uuid.uuid5(
        uuid.UUID("5c0b6b0e-6a0e-5a6e-9d0f-0f1f6d5f7a11"), name
    )


def test_ids_of_calls_begin_with_the_time() -> None:
    """Version 7 of RFC 9562: 48 bits of milliseconds, then nothing that repeats."""
    before = time.time_ns() // 1_000_000
    made = [uuid7() for _ in range(1_000)]
    after = time.time_ns() // 1_000_000

    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert all(before <= one.int >> 80 <= after for one in made)
    assert len(set(made)) == 1_000
