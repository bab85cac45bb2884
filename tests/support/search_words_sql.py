# ruff: noqa: RUF001 - letters that look alike are the subject
"""Writes realtime.search_words for a migration: what gateway/search_letters.py says, as SQL.

    python -m tests.support.search_words_sql > gateway/db/migrations/NNNN_search_words.sql

With the package unicodedata2 from its Unicode, which is newer than that of most Pythons, and than
PostgreSQL's; otherwise from this Python's. An index is made of the function: a migration that
replaces it has to be followed by one with REINDEX INDEX CONCURRENTLY realtime.messages_search.
"""

from __future__ import annotations

import importlib
import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from gateway.search_letters import letters_of

LINE = 100

CYRILLIC = "".join(map(chr, [*range(0x400, 0x460), 0x490, 0x491]))
PLAIN = "«»“”„–—…•·°€₴©\u00a0\u2028" + "'’ʼ‘`"
"""What else ordinary texts contain, besides emoji."""
EMOJI = ((0x2600, 0x27BF), (0x1F300, 0x1FAFF))
SELECTOR = "\ufe0f"
"""It follows many emoji."""

TEMPLATE = """\
-- Search words from Unicode {version}: full case folding, NFKD, without the marks of all scripts
-- and what is not shown; in the place of a table of one block and five letters. Written by
-- tests/support/search_words_sql.py.

CREATE OR REPLACE FUNCTION realtime.search_words(said text) RETURNS text
-- plpgsql, because SQL would be inlined: its cost would be lost, and with it the planner's respect
-- for reading a table without the index; and every INSERT would plan it anew. Not parallel safe:
-- starting workers takes 4 ms, more than most searches.
LANGUAGE plpgsql IMMUTABLE STRICT COST 1000
AS $$
DECLARE
    words text;
BEGIN
    IF said !~ '[^{ordinary}]' THEN
        -- ASCII, Cyrillic, common punctuation and emoji. lower() knows Cyrillic, except in a
        -- database whose locale is C: translate() looks up 50 letters for each, which takes 40 µs
        -- for a message. In Turkish, I becomes ı.
        words := regexp_replace(
            translate(
                CASE WHEN lower('Ж') = 'ж' THEN lower(said)
                     ELSE translate(lower(said), '{capitals}', '{small}')
                END,
                E'{plain_from}{deleted}',
                '{plain_to}'),
            '[^{letters}]+', ' ', 'g');
    ELSE
        -- Marks go before they are normalised as well: 8,000 of them out of order take 0.1 s.
        words := regexp_replace(said, '[{gone}]+', '', 'g');
        words := regexp_replace(normalize(words, NFKD), '[{gone}]+', '', 'g');
        words := regexp_replace(words, '[{between}]+', ' ', 'g');
        SELECT string_agg(coalesce('{changed}'::jsonb ->> letter, letter), '' ORDER BY place)
          INTO words
          FROM unnest(string_to_array(words, NULL)) WITH ORDINALITY AS of_words (letter, place);
    END IF;
    words := btrim(words);
    IF words ~ '[^ ]{{65}}' THEN
        words := regexp_replace(words, '([^ ]{{64}})[^ ]+', '\\1', 'g');
    END IF;
    RETURN coalesce(words, '');
END $$;

COMMENT ON FUNCTION realtime.search_words IS
    'Its words as they are compared: letters without case and marks (й is и, ß is ss, ґ is г), '
    'one space between them, of each the first 64 letters.';
"""


def function(data: Any) -> str:
    """Return the statements that make the function, from this version of Unicode's data."""
    gone, between, changed = [], [], {}
    for code in _code_points():
        char = chr(code)
        letters = letters_of(char, data)
        if letters == "":
            gone.append(code)
        elif letters == " ":
            between.append(code)
        elif letters != char and not _decomposed_by_postgresql(char, data):
            changed[char] = letters
    ordinary = [*range(1, 0x80), *map(ord, CYRILLIC + PLAIN + SELECTOR)]
    emoji = (code for first, last in EMOJI for code in range(first, last + 1))
    ordinary += [code for code in emoji if letters_of(chr(code), data) == " "]
    deleted = [char for char in PLAIN + SELECTOR if not letters_of(char, data)]
    alphabet = {*"abcdefghijklmnopqrstuvwxyz0123456789"}
    alphabet |= {letters_of(char, data) for char in CYRILLIC}
    small = [char for char in CYRILLIC if char.islower() and letters_of(char, data) != char]
    capitals = [char for char in CYRILLIC if char.isupper()]
    return TEMPLATE.format(
        version=data.unidata_version,
        ordinary=_class(ordinary),
        capitals="".join(capitals),
        small="".join(capitals).lower(),
        plain_from="".join(small) + "ı",
        plain_to="".join(letters_of(char, data) for char in small) + "i",
        deleted=_quoted("".join(deleted)).replace(SELECTOR, r"\ufe0f"),
        letters=_class(map(ord, alphabet)),
        gone=_lines(_class(gone)),
        between=_lines(_class(between)),
        changed=_lines(_quoted(json.dumps(changed, separators=(",", ":")))),
    )


def _decomposed_by_postgresql(char: str, data: Any) -> bool:
    """Return whether normalize() replaces this character, in any version that we run on."""
    return data.normalize("NFKD", char) != char and unicodedata.category(char) != "Cn"


def _code_points() -> Iterator[int]:
    yield from range(1, 0xD800)
    yield from range(0xE000, 0x110000)


def _class(codes: Iterable[int]) -> str:
    """Return code points as the inside of a bracket expression."""
    runs: list[list[int]] = []
    for code in sorted(set(codes)):
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(
        _escaped(first) + ("" if last == first else "-" * (last > first + 1) + _escaped(last))
        for first, last in runs
    )


def _escaped(code: int) -> str:
    if chr(code).isascii() and chr(code).isalnum():
        return chr(code)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _lines(text: str) -> str:
    """Break a literal into adjacent ones, which SQL joins; nowhere inside an escape."""
    lines, rest = [], text
    while len(rest) > LINE:
        cut = LINE
        while rest[cut] not in '\\"' or rest[cut - 1] in "\\-'":
            cut -= 1
        lines.append(rest[:cut])
        rest = rest[cut:]
    return "'\n            '".join([*lines, rest])


def main() -> None:
    try:
        data = importlib.import_module("unicodedata2")
    except ImportError:
        data = unicodedata
    sys.stdout.write(function(data))


if __name__ == "__main__":
    main()
