"""Limits on rates, on numbers, and on load; they know nothing of what they limit.

Rate and Bucket limit one connection, KeyedRate each employee or address on this node, UserRate and
UserConnections one user on this node, and ClusterLimits one user on all nodes together.
HeldBytes bounds what is kept for one owner and for all. LoopShare spreads steps of much CPU,
LoopTurns all steps of what may wait;
FairPlaces lends places, round by owner.
AdmissionQueue admits a burst of clients one after the other. LoadShedder refuses commands when the
database is too slow.
"""

from __future__ import annotations

from gateway.limits.admission_queue import AdmissionQueue
from gateway.limits.cluster_limits import ClusterLimits
from gateway.limits.connections import UserConnections
from gateway.limits.fair_places import FairPlaces
from gateway.limits.held_bytes import HeldBytes
from gateway.limits.keyed_rate import KeyedRate
from gateway.limits.load_shedding import LoadShedder
from gateway.limits.loop_share import LoopShare
from gateway.limits.loop_turns import LoopTurns
from gateway.limits.rate import Bucket, Rate
from gateway.limits.user_rate import UserRate

__all__ = [
    "AdmissionQueue",
    "Bucket",
    "ClusterLimits",
    "FairPlaces",
    "HeldBytes",
    "KeyedRate",
    "LoadShedder",
    "LoopShare",
    "LoopTurns",
    "Rate",
    "UserConnections",
    "UserRate",
]
