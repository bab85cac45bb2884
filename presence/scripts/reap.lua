-- Take a batch of people from a dead node.  ARGV: 7 dead node  8 lock ms  9 batch  10 … done before
-- → { 'busy' | 'more' | 'over', users of this batch, rows of those who changed }
--
-- A batch leaves the dead node's set only with the next call, after it was announced: when the
-- reaper dies in between, the next one announces it again, with the same versions.

local DEAD, LOCK = ARGV[FIRST], PREFIX .. 'reaper'

local reaper = redis.call('GET', LOCK)
if reaper and reaper ~= ME then
  return { 'busy', {}, {} }
end
redis.call('SET', LOCK, ME, 'PX', ARGV[FIRST + 1])

for i = FIRST + 3, #ARGV do
  redis.call('SREM', users_of(DEAD), ARGV[i])
end

local ids = redis.call('SRANDMEMBER', users_of(DEAD), ARGV[FIRST + 2])
if #ids == 0 then
  redis.call('SREM', GRAVES, DEAD)
  redis.call('DEL', LOCK)
  return { 'over', {}, {} }
end

local changed = {}
for _, id in ipairs(ids) do
  local user = load(id)
  user.nodes[DEAD] = nil
  redis.call('HDEL', user.key, 'n:' .. DEAD)
  changed[#changed + 1] = settle(user, visible(user))
end
return { 'more', ids, changed }
