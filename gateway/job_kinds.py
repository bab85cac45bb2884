"""Every job: its kind, its queue, what runs it; and when periodic ones are ordered.

app ─▶ here ─▶ chat, events. A worker runs the kinds it has: one without a place for files leaves
those of files to others, as a worker of an earlier version does with kinds that it does not know.
"""

from __future__ import annotations

from functools import partial

from gateway.audit import months as audit_months
from gateway.chat import file_sweeper, ownership, retention, schedule_worker
from gateway.context import Services
from gateway.events import upkeep as events_upkeep
from gateway.jobs import Again, Job, JobKind, Outcome, Queue, Schedule
from gateway.settings import Settings

MESSAGES, UPKEEP = schedule_worker.QUEUE, file_sweeper.QUEUE
QUEUES = (Queue(MESSAGES, 0.75), Queue(UPKEEP, 0.25))
"""Shares of a worker's slots; together all of them."""
NAMES = (
    schedule_worker.SEND,
    schedule_worker.COLLECT,
    schedule_worker.FORGET,
    ownership.GIVE,
    retention.DELETE,
    audit_months.MAINTAIN,
    file_sweeper.SWEEP,
    file_sweeper.TIDY,
    events_upkeep.FORGET,
)
"""Every kind, also those that a worker does not run: they may be another's."""


def kinds(services: Services, settings: Settings) -> list[JobKind]:
    """Return the kinds of jobs that this worker runs."""
    found = [
        JobKind(
            schedule_worker.SEND,
            MESSAGES,
            partial(schedule_worker.send, services),
            attempts=schedule_worker.ATTEMPTS,
        ),
        JobKind(schedule_worker.COLLECT, UPKEEP, partial(schedule_worker.collect, services)),
        JobKind(schedule_worker.FORGET, UPKEEP, partial(schedule_worker.forget, services)),
        JobKind(
            ownership.GIVE,
            UPKEEP,
            partial(ownership.run, services, grace_s=settings.owner_grace_s),
        ),
        JobKind(events_upkeep.FORGET, UPKEEP, partial(events_upkeep.forget, services)),
        JobKind(
            audit_months.MAINTAIN,
            UPKEEP,
            partial(_maintain_audit, services, months=settings.audit_months),
        ),
    ]
    if days := settings.message_retention_days:
        found.append(JobKind(retention.DELETE, UPKEEP, partial(retention.run, services, days=days)))
    if services.files.storage is not None:
        found += [
            JobKind(file_sweeper.SWEEP, UPKEEP, partial(file_sweeper.run, services)),
            JobKind(file_sweeper.TIDY, UPKEEP, partial(file_sweeper.tidy, services)),
        ]
    return found


def schedules(settings: Settings) -> list[Schedule]:
    """Return when periodic jobs are ordered; a worker orders those whose kind it has."""
    return [
        Schedule(schedule_worker.COLLECT, every_s=schedule_worker.COLLECT_EVERY_S),
        Schedule(schedule_worker.FORGET, every_s=schedule_worker.FORGET_EVERY_S),
        Schedule(ownership.GIVE, every_s=min(6 * settings.upkeep_s, ownership.MOST_EVERY_S)),
        Schedule(retention.DELETE, every_s=retention.EVERY_S),
        Schedule(audit_months.MAINTAIN, every_s=audit_months.EVERY_S),
        Schedule(file_sweeper.SWEEP, every_s=settings.file_sweep_s),
        Schedule(file_sweeper.TIDY, every_s=file_sweeper.TIDY_EVERY_S),
        Schedule(events_upkeep.FORGET, every_s=events_upkeep.EVERY_S),
    ]


async def _maintain_audit(services: Services, _job: Job, *, months: int) -> Outcome | None:
    done = await audit_months.run(services.connection, months=months)
    return None if done else Again(after_s=audit_months.RETRY_S)
