"""How often, how many, and in which order: bounds that know nothing of what they bound.

Rate and Bucket are one connection's, Allowance and Connections one user's on this node, Ledger
adds those up across nodes, Turns lets a crowd in without a crush, Pressure sheds what the database
cannot take.
"""

from __future__ import annotations

from gateway.limits.allowance import Allowance
from gateway.limits.connections import Connections
from gateway.limits.ledger import Ledger
from gateway.limits.pressure import Pressure
from gateway.limits.rate import Bucket, Rate
from gateway.limits.turns import Turns

__all__ = ["Allowance", "Bucket", "Connections", "Ledger", "Pressure", "Rate", "Turns"]
