"""The gateway: everything clients meet.

A message travels sockets → commands → chat → PostgreSQL → bus → sockets; docs/architecture.md
follows it station by station. `gateway.client` is the Python SDK.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
