"""The CRM's views: what the gateway expects of them, and whether they are so.

faults = await check(conn)                       # view → what is wrong with it
async with ContractWatch(pool, views, …)         # now and every minute: views that are off

What is off is written down in db/crm_views.py, which every statement passes.
"""

from __future__ import annotations

from gateway.crm.comparison import ContractFault, check
from gateway.crm.contract import EMPLOYEES, MAX_ID, VIEWS, CrmView
from gateway.crm.watch import ContractWatch, watched_views

__all__ = [
    "EMPLOYEES",
    "MAX_ID",
    "VIEWS",
    "ContractFault",
    "ContractWatch",
    "CrmView",
    "check",
    "watched_views",
]
