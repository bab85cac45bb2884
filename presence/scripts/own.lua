-- What this node holds of some people.  ARGV: 7 … pairs of user and online | away | '' (nobody here)
-- → rows of those who changed, or 'lost' when this node has no lease to hold them with

if not alive(ME) then
  return 'lost'
end

local changed = {}
for i = FIRST, #ARGV, 2 do
  local user = load(ARGV[i])
  local seen = visible(user)
  if ARGV[i + 1] == '' then
    user.nodes[ME] = nil
    redis.call('HDEL', user.key, 'n:' .. ME)
    redis.call('SREM', users_of(ME), user.id)
  else
    user.nodes[ME] = ARGV[i + 1]
    redis.call('HSET', user.key, 'n:' .. ME, ARGV[i + 1])
    redis.call('SADD', users_of(ME), user.id)
  end
  changed[#changed + 1] = settle(user, seen)
end
return changed
