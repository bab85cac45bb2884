-- Prolong this node's lease and see who died.
-- ARGV: 7 lease ms  8 '1' to take a new lease  9 '1' when this node had no answer before this one
--       10, 11 what this node was told last: the end of its lease, since when it is certain …; or 0
-- → { 'kept' | 'lost', ms until the next node would be given up or -1, ms until the next choice
--     lapses or -1, since when it is certain who is not here (ms), ms until then, end of the lease,
--     dead nodes … }

local TTL, TAKE, WAS_BLIND = tonumber(ARGV[FIRST]), ARGV[FIRST + 1] == '1', ARGV[FIRST + 2] == '1'
local GIVEN, TOLD = tonumber(ARGV[FIRST + 3]), tonumber(ARGV[FIRST + 4])
local SPARED = PREFIX .. 'spared' -- nodes that were given a lease which they did not ask for

-- Whoever had no answer cannot say who else had none: each gets a lease to prove itself, but one
-- only until it has renewed one itself, so that the dead are found however often Redis is away.
-- When even the newest lease has run out, nobody had an answer, which says nothing about anyone.
local mine = tonumber(redis.call('ZSCORE', NODES, ME) or '')
local newest = redis.call('ZREVRANGE', NODES, 0, 0, 'WITHSCORES')
local nobody_had = newest[2] and tonumber(newest[2]) <= NOW
if nobody_had or WAS_BLIND then
  for _, node in ipairs(redis.call('ZRANGE', NODES, 0, -1)) do
    if nobody_had or (alive(node) and redis.call('SADD', SPARED, node) == 1) then
      redis.call('ZADD', NODES, NOW + TTL, node)
    end
  end
end

-- Given up is for good: whoever was only slow finds its lease lost and announces its people again.
local given_up = redis.call('ZRANGEBYSCORE', NODES, '-inf', NOW - GRACE)
for _, node in ipairs(given_up) do
  redis.call('ZREM', NODES, node)
  redis.call('SREM', SPARED, node)
  redis.call('SADD', GRAVES, node)
end

-- A lease is only ever prolonged: when ours ends sooner than we were told, these data are older than
-- that answer (a snapshot, a replica that lagged). Whoever finds it out makes it known to all, by
-- another moment from when on it is certain who is not here: everyone in reach has told by then.
local certain, reset = certainty()
local held = not TAKE and redis.call('ZSCORE', NODES, ME)
local outdated = not TAKE and certain
  and (certain < TOLD or held and certain == TOLD and mine < GIVEN)
if outdated or not certain then
  certain, reset = NOW + TTL, (outdated or reset) and true or false
  redis.call('SET', CERTAIN, whole(certain) .. (reset and ' all' or ''))
end

-- Whom we held in older data has the grace; we begin a new incarnation.
if held and certain ~= TOLD then
  redis.call('ZADD', NODES, NOW, ME)
  held = false
end
if not (TAKE or held) then
  return { 'lost', -1, -1, certain, 0, 0 }
end
redis.call('ZADD', NODES, NOW + TTL, ME)
redis.call('SREM', SPARED, ME)

local next_due = -1
local soonest = redis.call('ZRANGE', NODES, 0, 1, 'WITHSCORES')
for i = 1, #soonest, 2 do
  if soonest[i] ~= ME and next_due < 0 then
    next_due = math.max(0, tonumber(soonest[i + 1]) + GRACE - NOW)
  end
end

local lapses = redis.call('ZRANGE', ENDS, 0, 0, 'WITHSCORES')
lapses = lapses[2] and math.max(0, lapses[2] - NOW) or -1
local answer = { 'kept', next_due, lapses, certain, math.max(0, certain - NOW), NOW + TTL }
for _, node in ipairs(redis.call('SMEMBERS', GRAVES)) do
  answer[#answer + 1] = node
end
return answer
