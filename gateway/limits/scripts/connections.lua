-- Say how many connections of each user one node holds; hear how many the others hold.
--
-- KEYS  1 nodes, scored by the end of their lease (ms of Redis' own clock)  2… one hash per user: node → count
-- ARGV  1 this node  2 its lease  3 forget a user after (ms)  4… how many it holds of each
-- Renews the lease. What a node held that let its lease run out is taken away when it is seen.

local NODES, ME = KEYS[1], ARGV[1]
local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

redis.call('ZREMRANGEBYSCORE', NODES, '-inf', NOW)
redis.call('ZADD', NODES, NOW + ARGV[2], ME)

local lives = {}
local function alive(node)
  if lives[node] == nil then
    lives[node] = redis.call('ZSCORE', NODES, node) ~= false
  end
  return lives[node]
end

local elsewhere = {}
for i = 2, #KEYS do
  local key, count = KEYS[i], tonumber(ARGV[2 + i])
  if count > 0 then
    redis.call('HSET', key, ME, count)
    redis.call('PEXPIRE', key, ARGV[3])
  else
    redis.call('HDEL', key, ME)
  end
  local sum, flat = 0, redis.call('HGETALL', key)
  for j = 1, #flat, 2 do
    if flat[j] ~= ME and alive(flat[j]) then
      sum = sum + tonumber(flat[j + 1])
    elseif flat[j] ~= ME then
      redis.call('HDEL', key, flat[j])
    end
  end
  elsewhere[i - 1] = sum
end
return elsewhere
