"""Quality reviews of calls, and the scorecards by which they are made.

rest ─▶ scorecards: save, activate ─▶ realtime.scorecards
rest ─▶ reviews: create ─▶ publish ─▶ acknowledge, or dispute ─▶ resolve ─▶ review.changed
Each step is written to the audit by its own statement.
"""
