"""Statistics of calls, queues and agents, for those with stats.view.

rest ─▶ stats.read ─▶ stats_cache: Redis, one minute ─▶ stats.compute
compute ─▶ queries: PostgreSQL counts ─▶ rates: counts become rates ─▶ the answer as JSON
announce ─▶ stats_cache.invalidate_days, when a call or a pause of an earlier day changes
"""
