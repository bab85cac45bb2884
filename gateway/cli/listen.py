"""Listening sockets, opened once by the parent and shared by its workers."""

from __future__ import annotations

import socket

from gateway.settings import BACKLOG, Settings


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket that child processes inherit; OSError when it cannot be opened."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    listener.setblocking(False)
    return listener


def port_of(listener: socket.socket) -> int:
    """Return the port of a listening socket."""
    port: int = listener.getsockname()[1]
    return port


def worker_ports(settings: Settings) -> range:
    """Return the ports that GATEWAY_WORKER_PORTS gives to single workers; none when it is 0."""
    first = settings.worker_ports
    return range(first, first + settings.workers) if first else range(0)
