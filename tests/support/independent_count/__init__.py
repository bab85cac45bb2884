"""A count of calls, queues and agents from what Asterisk itself writes down: queue_log, CDR, CEL.

files ─▶ records ─▶ calls ─▶ figures ─▶ the statistics as a client reads them. It shares no line
with the product and imports nothing of it, so that a rule that both have is written down twice.
The rules are those of docs/telephony.md. It knows the dialplan of the recordings `m…`: telephones
are `Local/101@agents`, callers `Local/…@from-trunk`, outsiders `Local/…@pstn`.
"""
