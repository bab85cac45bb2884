-- Prolong this node's lease and see who died.  ARGV: 7 lease ms  8 '1' to take a new lease
-- → { 'kept' | 'lost', ms until the next node would be given up or -1, ms until the next choice
--     lapses or -1, dead nodes … }

local TTL, TAKE = tonumber(ARGV[FIRST]), ARGV[FIRST + 1] == '1'

-- When even the newest lease has run out, Redis was away from everybody, or everybody from Redis:
-- that says nothing about anyone, so each gets a lease to prove itself.
local newest = redis.call('ZREVRANGE', NODES, 0, 0, 'WITHSCORES')
if newest[2] and tonumber(newest[2]) <= NOW then
  for _, node in ipairs(redis.call('ZRANGE', NODES, 0, -1)) do
    redis.call('ZADD', NODES, NOW + TTL, node)
  end
end

-- Given up is for good: whoever was only slow finds its lease lost and announces its people anew.
local given_up = redis.call('ZRANGEBYSCORE', NODES, '-inf', NOW - GRACE)
for _, node in ipairs(given_up) do
  redis.call('ZREM', NODES, node)
  redis.call('SADD', GRAVES, node)
end

if not TAKE and not redis.call('ZSCORE', NODES, ME) then
  return { 'lost', -1, -1 }
end
redis.call('ZADD', NODES, NOW + TTL, ME)

local next_due = -1
local soonest = redis.call('ZRANGE', NODES, 0, 1, 'WITHSCORES')
for i = 1, #soonest, 2 do
  if soonest[i] ~= ME and next_due < 0 then
    next_due = math.max(0, tonumber(soonest[i + 1]) + GRACE - NOW)
  end
end

local lapses = redis.call('ZRANGE', ENDS, 0, 0, 'WITHSCORES')
local answer = { 'kept', next_due, lapses[2] and math.max(0, lapses[2] - NOW) or -1 }
for _, node in ipairs(redis.call('SMEMBERS', GRAVES)) do
  answer[#answer + 1] = node
end
return answer
