"""The fault laboratory: real workers under real faults, and what must be true all the same.

schedule (the same for a seed) ─▶ laboratory (stage, crowd, injector) ─▶ history ─▶ checker ─▶
report. Run it with `python -m tests.faults`; README.md says what it does.
"""
