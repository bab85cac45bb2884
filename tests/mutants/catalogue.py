"""The mutants: what they change, and whether the change still applies to the code."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CATALOGUE = Path(__file__).parent / "catalogue"


class DoesNotApply(Exception):
    """The code has changed: the catalogue needs the mutant written anew."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: in `file`, `old` becomes `new`."""

    room: str
    id: str
    file: str
    old: str
    new: str
    fault: str
    """What a user would see."""

    def apply(self, source: str) -> str:
        """Return the faulty text of its file; raise DoesNotApply."""
        found = source.count(self.old)
        if found != 1:
            raise DoesNotApply(f"{self.id}: {self.file} contains its `old` {found} times")
        mutated = source.replace(self.old, self.new)
        if ast.dump(ast.parse(mutated)) == ast.dump(ast.parse(source)):
            raise DoesNotApply(f"{self.id}: the code means the same as before")
        return mutated

    def line(self, source: str) -> int:
        """Return the first line that it changes, counted from 1."""
        same = 0
        while self.old[same : same + 1] == self.new[same : same + 1] != "":
            same += 1
        return source.count("\n", 0, source.index(self.old) + min(same, len(self.old) - 1)) + 1


def mutants() -> Iterator[Mutant]:
    """Give all mutants of the catalogue, room by room."""
    for path in sorted(CATALOGUE.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
            yield Mutant(room=path.stem, **entry)
