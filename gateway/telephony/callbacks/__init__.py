"""Missed calls, and the call-back requests that they make.

ingest's transaction ─▶ realtime.callback_news ─▶ missed.process_news ─▶ call-back requests
customer reached, by a call or as the CRM says ─▶ the same ─▶ requests are closed
commands, rest ─▶ callbacks: claim, release, close, reopen ─▶ one request under its lock
both ─▶ COMMIT ─▶ missed_call.created, callback.changed to everyone with callbacks.handle
"""
