"""Network namespaces: a node that loses its network in the kernel.

A worker in a namespace reaches Redis over one pair of virtual interfaces and PostgreSQL over
another; setting one of them down loses every packet without a sign to either end. Needs root.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

NETWORK = "10.213"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Namespace:
    """One node's network."""

    name: str
    redis_host: str
    """Where Redis is to be reached from inside: an address of ours."""
    postgres_host: str
    links: dict[str, str]
    """redis, postgres → our end of the pair."""

    @property
    def command(self) -> tuple[str, ...]:
        """What comes before a command that is to run inside."""
        return _ip(), "netns", "exec", self.name

    def set(self, link: str, *, up: bool) -> None:
        _run("link", "set", self.links[link], "up" if up else "down")

    def lost(self, link: str) -> int:
        """Say whether it is down: 1 or 0."""
        shown = subprocess.run(
            [_ip(), "-o", "link", "show", self.links[link]],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return int("state DOWN" in shown or "LOWERLAYERDOWN" in shown)


def why_not() -> str | None:
    """Return why there can be none here; None when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip(8), of iproute2"
    name = f"flt{os.getpid()}"
    try:
        _run("netns", "add", name)
        _run("netns", "exec", name, "true")
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here: {error.stderr.decode().strip()}"
    finally:
        _forget("netns", "del", name)
    return None


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make one, and remove it with its interfaces."""
    number = next(_numbers)
    name = f"flt{os.getpid()}n{number}"
    hosts: dict[str, str] = {}
    links: dict[str, str] = {}
    try:
        _run("netns", "add", name)
        _run("-n", name, "link", "set", "lo", "up")
        for index, what in enumerate(("redis", "postgres")):
            third = (os.getpid() * 8 + number * 2 + index) % 256
            ours, theirs = f"f{os.getpid() % 100_000}{number}{index}", f"eth{index}"
            _run("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
            _run("addr", "add", f"{NETWORK}.{third}.1/30", "dev", ours)
            _run("link", "set", ours, "up")
            _run("-n", name, "addr", "add", f"{NETWORK}.{third}.2/30", "dev", theirs)
            _run("-n", name, "link", "set", theirs, "up")
            hosts[what], links[what] = f"{NETWORK}.{third}.1", ours
        yield Namespace(name, hosts["redis"], hosts["postgres"], links)
    finally:
        for link in links.values():
            _forget("link", "del", link)
        _forget("netns", "del", name)


def _ip() -> str:
    return shutil.which("ip") or "ip"


def _run(*arguments: str) -> None:
    subprocess.run([_ip(), *arguments], check=True, capture_output=True)


def _forget(*arguments: str) -> None:
    subprocess.run([_ip(), *arguments], check=False, capture_output=True)
