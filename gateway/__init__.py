"""The gateway: everything that clients connect to.

A message travels sockets → commands → chat → PostgreSQL → bus → sockets; docs/architecture.md
describes each step. `gateway.client` is the Python SDK.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
