-- End a batch of choices whose time is over.
-- ARGV: 7 lock ms  8 batch  9 … done before: pairs of user and the time that was over
-- → { 'busy' | 'more' | 'over', ms until the next is due or -1, pairs of this batch, rows of those
--     who changed }
--
-- As with the dead, a batch is crossed out only with the next call, after it was announced: when
-- the node dies in between, another one announces it again, with the same versions.

local LOCK, BATCH = PREFIX .. 'lapser', ARGV[FIRST + 1]

local holder = redis.call('GET', LOCK)
if holder and holder ~= ME then
  return { 'busy', -1, {}, {} }
end

for i = FIRST + 2, #ARGV, 2 do
  if redis.call('ZSCORE', ENDS, ARGV[i]) == ARGV[i + 1] then -- else they have chosen again
    redis.call('ZREM', ENDS, ARGV[i])
  end
end

local due = redis.call('ZRANGEBYSCORE', ENDS, '-inf', NOW, 'WITHSCORES', 'LIMIT', 0, BATCH)
if #due == 0 then
  redis.call('DEL', LOCK)
  local following = redis.call('ZRANGE', ENDS, 0, 0, 'WITHSCORES')
  return { 'over', following[2] and following[2] - NOW or -1, {}, {} }
end
redis.call('SET', LOCK, ME, 'PX', ARGV[FIRST])

local changed = {}
for i = 1, #due, 2 do
  local user = load(due[i])
  changed[#changed + 1] = settle(user, visible(user), 'lapse/' .. due[i + 1])
end
return { 'more', 0, due, changed }
