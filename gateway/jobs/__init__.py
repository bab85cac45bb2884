"""Work that outlives the process that ordered it: queues, leases, keys, schedules, dead letters.

    due_s = await enqueue(conn, [NewJob("files.sweep", queue="upkeep", key="files.sweep")])
    ...  # COMMIT
    doorbell.ring(due_s)

A job belongs to the transaction that orders it, runs at least once, and is tried again until it is
done, expires or has failed too often. Worker runs those whose JobKind it was given.
"""

from gateway.jobs.budgets import Budget, Queue, RateBudget
from gateway.jobs.doorbell import Doorbell
from gateway.jobs.job import (
    Again,
    Dead,
    Done,
    Failed,
    Job,
    JobKind,
    NewJob,
    Outcome,
    PayloadInvalid,
    Postponed,
)
from gateway.jobs.queries.orders import enqueue
from gateway.jobs.schedules import Schedule
from gateway.jobs.upkeep import Upkeep
from gateway.jobs.worker import Worker

__all__ = [
    "Again",
    "Budget",
    "Dead",
    "Done",
    "Doorbell",
    "Failed",
    "Job",
    "JobKind",
    "NewJob",
    "Outcome",
    "PayloadInvalid",
    "Postponed",
    "Queue",
    "RateBudget",
    "Schedule",
    "Upkeep",
    "Worker",
    "enqueue",
]
