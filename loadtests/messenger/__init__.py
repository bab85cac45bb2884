"""Many users in a few conversations who do everything at once, and what must be true afterwards.

plan (the same for a seed) ─▶ client (performs it) ─▶ view (what one device shows) ─▶ check (views,
acknowledgements and the database, compared).
"""
