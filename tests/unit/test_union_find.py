"""Keys that belong together: in one set whatever order they are joined in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.fold.union_find import UnionFind

KEYS = st.integers(0, 12)
JOINED = st.lists(st.lists(KEYS, min_size=1, max_size=4), max_size=12)


def sets_of(joined: list[list[int]]) -> list[list[int]]:
    union_find: UnionFind[int] = UnionFind()
    for keys in joined:
        union_find.union(keys)
    return union_find.sets()


def merged(joined: list[list[int]]) -> set[frozenset[int]]:
    """Merge sets that share a key, until none do: slow and plain."""
    sets = {frozenset(keys) for keys in joined}
    while True:
        pair = next(((a, b) for a in sets for b in sets if a != b and a & b), None)
        if pair is None:
            return sets
        sets = (sets - set(pair)) | {pair[0] | pair[1]}


@given(JOINED)
def test_keys_are_in_one_set_when_a_chain_of_unions_leads_from_one_to_the_other(
    joined: list[list[int]],
) -> None:
    """As merging the sets again and again says."""
    assert {frozenset(keys) for keys in sets_of(joined)} == merged(joined)


@given(JOINED, st.randoms())
def test_the_order_of_unions_does_not_matter(
    joined: list[list[int]], random: st.DataObject
) -> None:
    """Neither that of the unions nor that of the keys in one."""
    shuffled = [list(keys) for keys in joined]
    for keys in [*shuffled, shuffled]:
        random.shuffle(keys)  # type: ignore[attr-defined]

    assert set(map(frozenset, sets_of(shuffled))) == set(map(frozenset, sets_of(joined)))


def test_keys_come_in_the_order_in_which_they_were_first_mentioned() -> None:
    """Sets, too: by their first key."""
    assert sets_of([[3, 1], [5], [2, 4], [4, 3]]) == [[3, 1, 2, 4], [5]]


def test_a_key_that_was_never_mentioned_is_its_own_root() -> None:
    """None and 0 are keys like others."""
    union_find: UnionFind[int | None] = UnionFind()

    assert union_find.root(7) == 7
    union_find.union([0, None, 1])
    assert union_find.root(1) == union_find.root(None) == union_find.root(0) == 0
    assert union_find.sets() == [[7], [0, None, 1]]
