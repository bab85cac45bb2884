"""The state directory: its lock, and the places of sockets and files.

One process at a time owns a server's part of a state directory; the kernel releases the lock when
that process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded.errors import AlreadyRunning, EmbeddedError
from gateway.embedded.process import Identity, can_access

SOCKET_PATH_LIMIT = 100
"""sun_path holds 107 bytes on Linux and 103 on macOS."""

SHARED_HOME = Path("/var/lib/crm-gateway")
"""Data directory of `nobody` when it cannot enter the state directory, such as /root/.local."""


@dataclass(frozen=True, slots=True)
class ServerHome:
    """The identity that a server runs as, and the directory of its files."""

    identity: Identity
    directory: Path

    def private(self, name: str) -> Path:
        """Return a directory that only the server (and root) can enter."""
        return self.give_ownership(_private(self.directory / name))

    def give_ownership(self, directory: Path) -> Path:
        """Make the server's identity the owner of everything in this directory."""
        if self.identity != "nobody":
            return directory
        nobody = pwd.getpwnam("nobody")
        if directory.stat().st_uid != nobody.pw_uid:
            for path in (directory, *directory.rglob("*")):
                os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        return directory


def prepare(state_dir: Path) -> Path:
    """Return the state directory as an absolute path; create it if necessary."""
    directory = state_dir.expanduser().resolve()
    try:
        return _private(directory) if not directory.exists() else directory
    except OSError as error:
        raise EmbeddedError(
            f"Cannot use {directory} as state directory: {error}. Set GATEWAY_STATE_DIR to another."
        ) from error


def home_for(state_dir: Path, program: Path) -> ServerHome:
    """Choose the identity of a server that refuses to run as root.

    For root, first a user namespace, which changes nothing on the machine (0.5 s cold). If the
    system forbids that, as Docker's default profile does, the user nobody.
    """
    if os.geteuid() != 0:
        return ServerHome("self", state_dir)
    if can_access("namespace", [state_dir, program]):
        return ServerHome("namespace", state_dir)
    if can_access("nobody", [state_dir]):
        return ServerHome("nobody", state_dir)
    home = SHARED_HOME / _digest(state_dir)
    home.mkdir(parents=True, exist_ok=True, mode=0o755)
    return ServerHome("nobody", home)


def readable_copy(home: ServerHome, bin_dir: Path) -> Path:
    """Return a bin directory that the server's identity can run.

    `nobody` cannot enter a virtual environment under /root: it gets a copy (41 MB, 0.1 s).
    """
    if home.identity != "nobody" or can_access("nobody", [bin_dir / "postgres"]):
        return bin_dir
    install = bin_dir.parent
    copy = home.directory / "programs" / install.parent.name / install.name
    if not (copy / "bin" / "postgres").exists():
        libraries = install.parent.with_name(f"{install.parent.name}.libs")
        if libraries.is_dir():  # the programs search them three directories up
            target = copy.parent.with_name(libraries.name)
            shutil.copytree(libraries, target, dirs_exist_ok=True)
        for part in ("lib", "share", "bin"):
            shutil.copytree(install / part, copy / part, dirs_exist_ok=True)
    return copy / "bin"


@contextmanager
def lock_directory(lock: Path) -> Iterator[None]:
    """Hold a lock file; AlreadyRunning when another process holds it."""
    with lock.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(
                f"Process {file.read().strip() or '?'} already uses {lock.parent}. "
                "Stop it first, or choose another state directory with GATEWAY_STATE_DIR."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def socket_dir(home: ServerHome, name: str, file: str) -> Iterator[Path]:
    """Give a private directory whose path is short enough for this socket.

    If the path in the state directory is too long, a temporary one elsewhere, removed at the end.
    """
    directory = home.directory / name
    if len(os.fsencode(directory / file)) <= SOCKET_PATH_LIMIT:
        yield home.private(name)
        return
    short = home.give_ownership(_short_dir(directory))
    try:
        yield short
    finally:
        shutil.rmtree(short, ignore_errors=True)


def _short_dir(directory: Path) -> Path:
    """Create or reuse a directory named after the long path: killed runs leave one, not many."""
    name = f"crm-gateway-{_digest(directory)}"
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        if not base or len(os.fsencode(base)) > SOCKET_PATH_LIMIT - 50:
            continue
        path = Path(base, name)
        try:
            path = _private(path)
        except OSError:
            continue
        if path.lstat().st_uid == os.geteuid() and not path.is_symlink():
            return path
        return Path(tempfile.mkdtemp(prefix="crm-gateway-", dir=base))
    raise EmbeddedError(f"No place with a short path for sockets of {directory}; set TMPDIR.")


def _private(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.lstat().st_uid == os.geteuid():
        directory.chmod(0o700)
    return directory


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
