"""The fault laboratory: real workers under real faults, and what must stay true.

schedule (the same for a seed) ─▶ laboratory (stage, users, injector) ─▶ history ─▶ checker ─▶
report. Run it with `python -m tests.faults`; README.md describes it.
"""
