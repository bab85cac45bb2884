"""How often, how many, and in which order: bounds that know nothing of what they bound.

Rate and Bucket are one connection's, Allowance and Connections one user's on this node, Ledger
adds those up across nodes, Turns lets a crowd in without a crush, Pressure sheds what the database
cannot take.
"""

from __future__ import annotations

from gateway.limits.admission_queue import AdmissionQueue
from gateway.limits.cluster_limits import ClusterLimits
from gateway.limits.connections import UserConnections
from gateway.limits.load_shedding import LoadShedder
from gateway.limits.rate import Bucket, Rate
from gateway.limits.user_rate import UserRate

__all__ = [
    "AdmissionQueue",
    "Bucket",
    "ClusterLimits",
    "LoadShedder",
    "Rate",
    "UserConnections",
    "UserRate",
]
