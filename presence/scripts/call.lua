-- One call of one person.  ARGV: 7 user  8 call  9 '1' talking | '0' not  10 reported at (ms)
-- → the row when others see something new, else nothing
--
-- Reports may come late or twice, from any node: the newest report of a call counts, and an ended
-- call is remembered for a quarter of an hour so that a late beginning does not revive it.

local ENDED_KEPT = 900000
local user = load(ARGV[FIRST])
local seen = visible(user)
local call, state, at = ARGV[FIRST + 1], ARGV[FIRST + 2], tonumber(ARGV[FIRST + 3])

local known = user.calls[call]
if not known or tonumber(string.sub(known, 3)) <= at then
  user.calls[call] = state .. ':' .. whole(at)
  redis.call('HSET', user.key, 'c:' .. call, user.calls[call])
  if state == '1' then
    redis.call('ZADD', TALKING, at, user.id .. ':' .. call)
  else
    redis.call('ZREM', TALKING, user.id .. ':' .. call)
  end
end

for id, value in pairs(user.calls) do
  local age = NOW - tonumber(string.sub(value, 3))
  if age > CALL_MAX or (age > ENDED_KEPT and string.sub(value, 1, 2) == '0:') then
    redis.call('HDEL', user.key, 'c:' .. id)
  end
end

return settle(user, seen) or ''
