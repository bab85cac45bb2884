-- A person's own choice.  ARGV: 7 user  8 status or ''  9 text or ''  10 until (ms) or ''
-- → { 1 when others see something new else 0, row, ms until it lapses or -1 }

local user = load(ARGV[FIRST])
local seen = visible(user)
local said = { chosen = ARGV[FIRST + 1], text = ARGV[FIRST + 2], ends = ARGV[FIRST + 3] }
if said.ends ~= '' and tonumber(said.ends) <= NOW then
  said = { chosen = '', text = '', ends = '' }
end

for name, value in pairs(said) do
  if value == '' then
    redis.call('HDEL', user.key, name)
  else
    redis.call('HSET', user.key, name, value)
  end
end
user.chosen = said.chosen ~= '' and said.chosen or nil
user.text = said.text
user.ends = said.ends ~= '' and said.ends or nil
user.lapsed = false

local left = -1
if user.ends then
  redis.call('ZADD', ENDS, user.ends, user.id)
  left = tonumber(user.ends) - NOW
else
  redis.call('ZREM', ENDS, user.id)
end

local changed = settle(user, seen)
return { changed and 1 or 0, changed or row(user), left }
