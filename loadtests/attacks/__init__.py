"""Who tries to use up a worker's time or memory, each in a process of its own.

scenarios/innocent.py ─▶ attack_process.py ─▶ `python -m loadtests.attacks` ─▶ the gateway. All keep
to no rule but this: one that is told when to come back comes back then.
"""
