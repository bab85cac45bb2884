"""The program between the fork of this process and the exec of a server.

`process.start` runs this file with a bare interpreter (about 20 ms): it switches to another user if
requested, arranges that the server ends with its parent, then executes the server. It is a separate
program instead of a preexec_fn, which may deadlock in a process with threads, and warns since
Python 3.12. It uses the standard library only, and nothing of this package.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import select
import sys
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NOT_POSSIBLE = 97
"""Exit status when the requested identity is not available here."""


def main() -> NoReturn:
    options: dict[str, Any] = json.loads(sys.argv[1])
    command: list[str] = sys.argv[2:]
    parent: int = options["parent"]
    watch_fd: int | None = options["watch_fd"]

    if watch_fd is not None:
        leave_reaper(watch_fd, options["signal"])
    try:
        switch_user(options["identity"])
    except OSError as error:
        sys.stderr.write(f"launcher: {error}\n")
        sys.exit(NOT_POSSIBLE)
    if not all(os.access(path, os.X_OK | os.R_OK) for path in options["reach"]):
        sys.exit(NOT_POSSIBLE)
    if not command:
        sys.exit(0)
    if watch_fd is None and sys.platform == "linux":
        # After become(): a change of credentials clears the signal.
        libc().prctl(PR_SET_PDEATHSIG, options["signal"], 0, 0, 0)
    if os.getppid() != parent:  # the parent ended meanwhile
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  argv comes from process.start, no shell


def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def switch_user(identity: str) -> None:
    """Give up root, which PostgreSQL refuses to run as."""
    if identity == "namespace":
        enter_user_namespace()
    elif identity == "nobody":
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)


def enter_user_namespace() -> None:
    """Become `nobody` inside a user namespace, while files stay root's outside of it.

    No user is created and no permission is changed. The id needs an entry in the passwd file,
    or initdb ends with "could not look up effective user ID".
    """
    nobody = pwd.getpwnam("nobody")
    if libc().unshare(CLONE_NEWUSER) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"unshare: {os.strerror(error)}")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{nobody.pw_uid} 0 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{nobody.pw_gid} 0 1", encoding="ascii")


def leave_reaper(watch_fd: int, signal: int) -> None:
    """Fork a process that ends the server when the parent's end of the pipe closes.

    For systems without PR_SET_PDEATHSIG, and for starts outside the main thread, where that signal
    would be sent when the thread ends. Forked twice, so that the server has no unknown child.
    """
    server = os.getpid()
    if child := os.fork():
        os.waitpid(child, 0)
        os.close(watch_fd)
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    watch(watch_fd, server, signal)
    os._exit(0)


def watch(watch_fd: int, server: int, signal: int) -> None:
    while True:
        readable, _, _ = select.select([watch_fd], [], [], 1.0)
        if readable and os.read(watch_fd, 1):
            return  # a byte means that the parent has stopped the server itself
        try:
            os.kill(server, signal if readable else 0)
        except OSError:
            return
        if readable:
            return


if __name__ == "__main__":
    main()
