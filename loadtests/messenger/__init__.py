"""Many people in a few conversations who do everything at once, and what must be true afterwards.

plan (the same for a seed) ─▶ client (carries it out) ─▶ view (what one device shows) ─▶ check
(views, notes and the database, compared).
"""
