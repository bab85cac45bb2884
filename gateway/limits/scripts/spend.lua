-- Take what users did on one node off what they may do on all of them: the generic cell rate
-- algorithm, after the fact, by Redis' own clock.
--
-- KEYS  one per user: the time (µs) until which their due is spent
-- ARGV  1 µs that one costs  2 µs that may be spent ahead  3 most µs to be barred for  4… how many each did
-- Returns for each user the milliseconds for which they may do nothing.

local EACH, AHEAD, MOST = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local NOW = clock[1] * 1000000 + clock[2]

local barred = {}
for i, key in ipairs(KEYS) do
  local spent = math.max(tonumber(redis.call('GET', key) or 0), NOW) + ARGV[3 + i] * EACH
  spent = math.min(spent, NOW + AHEAD + MOST)
  redis.call('SET', key, string.format('%.0f', spent), 'PX', math.ceil((spent - NOW) / 1000) + 1)
  barred[i] = math.ceil(math.max(0, spent - NOW - AHEAD) / 1000)
end
return barred
