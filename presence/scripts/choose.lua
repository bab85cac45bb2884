-- A person's own choice.  ARGV: 7 user  8 status or ''  9 text or ''
-- → { 1 when others see something new else 0, row }

local user = load(ARGV[FIRST])
local seen = visible(user)
local chosen, text = ARGV[FIRST + 1], ARGV[FIRST + 2]

if chosen == '' then
  user.chosen = nil
  redis.call('HDEL', user.key, 'chosen')
else
  user.chosen = chosen
  redis.call('HSET', user.key, 'chosen', chosen)
end

user.text = text
if text == '' then
  redis.call('HDEL', user.key, 'text')
else
  redis.call('HSET', user.key, 'text', text)
end

local changed = settle(user, seen)
return { changed and 1 or 0, changed or row(user) }
