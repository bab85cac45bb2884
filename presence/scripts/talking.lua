-- All calls that go on, as far as was reported.  → pairs of `<user>:<call>` and when (ms)

redis.call('ZREMRANGEBYSCORE', TALKING, '-inf', NOW - CALL_MAX)
return redis.call('ZRANGE', TALKING, 0, -1, 'WITHSCORES')
