"""Calls: what clients read, add and are sent.

ingest's committed change ─▶ announce ─▶ screen_pop ─▶ call.* events for the employees on the call
list     calls.list_page ─▶ call_filter ─▶ queries.call_list ─▶ screen_pop ─▶ Call
one call timeline.read   ─▶ access ─▶ ingest's state, notes, recordings, queries.timeline
number   lookup.resolve  ─▶ queries.lookup ─▶ customers, and the last calls with them
add      notes           ─▶ access ─▶ queries.annotations ─▶ call.annotated after the COMMIT
listen   recordings      ─▶ access ─▶ the audit ─▶ a link

access decides who may see a call; everything that is done with one call begins there.
"""
