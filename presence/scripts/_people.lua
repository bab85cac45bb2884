-- What every script begins with: who is alive, what a person looks like, when a change is a change.
--
-- KEYS[1]  sorted set of running nodes, scored by the end of their lease (ms of Redis' own clock)
-- KEYS[2]  set of dead nodes whose people are being taken away
-- ARGV     1 key prefix  2 grace  3 longest call  4 forget after (all ms)  5 this node  6 nonce
--
-- A person is one hash: `n:<node>` = online | away, `c:<call>` = <talking>:<reported at>, chosen,
-- text, ends (when both lapse), and what was last announced: status, since, seen (when others saw
-- them last), v (version), by (nonce of that change).
-- Keys of people are built here, not declared. A Redis Cluster allows that while all are in the
-- slot of the declared ones: the prefix carries a hash tag.

local NODES, GRAVES = KEYS[1], KEYS[2]
local PREFIX, GRACE, CALL_MAX, FORGET = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local ME, NONCE = ARGV[5], ARGV[6]
local FIRST = 7 -- the script's own arguments start here
local ENDS = PREFIX .. 'ends' -- who has chosen until when
local TALKING = PREFIX .. 'talking' -- calls that go on, scored by when that was reported
local CERTAIN = PREFIX .. 'certain' -- from when on whoever is not known here is not here (ms)

local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function whole(number)
  return string.format('%.0f', number)
end

local lives = {}
-- A node counts for the grace beyond its lease: readers, writers and the reaper agree on when it ends.
local function alive(node)
  if lives[node] == nil then
    local lease = redis.call('ZSCORE', NODES, node)
    lives[node] = lease ~= false and tonumber(lease) + GRACE > NOW
  end
  return lives[node]
end

local function users_of(node)
  return PREFIX .. 'node:' .. node .. ':users'
end

-- When what others see will end by itself: of a choice that is not shown they learn nothing.
local function shown_end(user)
  if user.ends and user.status ~= 'offline' and (user.chosen or user.status) == user.status then
    return user.ends
  end
  return ''
end

local function load(id)
  local user = { id = id, key = PREFIX .. 'user:' .. id, nodes = {}, calls = {} }
  local flat = redis.call('HGETALL', user.key)
  for i = 1, #flat, 2 do
    local kind = string.sub(flat[i], 1, 2)
    if kind == 'n:' then
      user.nodes[string.sub(flat[i], 3)] = flat[i + 1]
    elseif kind == 'c:' then
      user.calls[string.sub(flat[i], 3)] = flat[i + 1]
    else
      user[flat[i]] = flat[i + 1]
    end
  end
  user.status = user.status or 'offline'
  user.text = user.text or ''
  user.shown_text, user.shown_end = user.text, shown_end(user)
  if user.ends and tonumber(user.ends) <= NOW then
    user.chosen, user.text, user.ends, user.lapsed = nil, '', nil, true
  end
  return user
end

local function automatic(user)
  local most = 'offline'
  for node, value in pairs(user.nodes) do
    if most ~= 'online' and alive(node) then
      most = value
    end
  end
  return most
end

local function talking(user)
  for _, call in pairs(user.calls) do
    if string.sub(call, 1, 2) == '1:' and NOW - tonumber(string.sub(call, 3)) < CALL_MAX then
      return true
    end
  end
  return false
end

-- The same rule as presence/model.py.
local function visible(user)
  local devices = automatic(user)
  if devices == 'offline' or user.chosen == 'offline' then
    return 'offline'
  elseif user.chosen == 'do_not_disturb' then
    return 'do_not_disturb'
  elseif talking(user) then
    return 'on_call'
  end
  return user.chosen or devices
end

-- Whoever becomes invisible is seen for the last time now, whoever is gone when the grace began.
local function become(user, status)
  if status ~= user.status or not user.since then
    user.since = whole(NOW)
  end
  if status == 'offline' and user.status ~= 'offline' then
    user.seen = whole(automatic(user) == 'offline' and NOW - GRACE or NOW)
  end
  user.status = status
end

-- From when on it is certain who is not here, nil when nobody has said; and whether it is so because
-- this Redis came back with older data.
local function certainty()
  local said = redis.call('GET', CERTAIN)
  if said then
    return tonumber(string.match(said, '^%d+')), string.find(said, 'all', 1, true) ~= nil
  end
end

local unknown, least
-- The version of somebody of whom nothing is known. A Redis that came back empty has to be told by
-- every node whom it holds, for which a lease is time enough: until then it is 0, then that moment,
-- which is later than all that was said of them by a Redis that knew more. When it came back with
-- older data, nobody has a lower version from then on.
local function version_of_unknown()
  if unknown == nil then
    local certain, reset = certainty()
    unknown = certain and certain <= NOW and whole(certain) or '0'
    least = reset and tonumber(unknown) or 0
  end
  return unknown
end

-- One string, the text last: 500 rows as lists cost the client twice as much to read.
local function row(user)
  local seen = user.status == 'offline' and user.seen or ''
  local version = version_of_unknown()
  if user.v and tonumber(user.v) >= least then
    version = user.v
  end
  local said = { user.id, user.status, user.since or '', version, shown_end(user), seen }
  return table.concat(said, '\31') .. '\31' .. user.text
end

-- Store and return what others now see; nil when they see nothing new. `seen` is what readers saw
-- before: someone whose node was given up and came back looks unchanged to us, not to them.
-- Repeating a change under its nonce returns it again, so that a lost answer loses no announcement.
-- Versions follow the clock: they keep growing when Redis comes back empty.
local function settle(user, seen, nonce)
  nonce = nonce or NONCE
  local before, status = user.status, visible(user)
  if user.lapsed then
    redis.call('HDEL', user.key, 'chosen', 'text', 'ends')
  end
  if next(user.nodes) == nil then
    redis.call('PEXPIRE', user.key, FORGET)
  else
    redis.call('PERSIST', user.key)
  end
  if status == before and seen == status and user.text == user.shown_text
    and shown_end(user) == user.shown_end then
    return user.by == nonce and row(user) or nil
  end
  become(user, status)
  user.v = whole(math.max(tonumber(user.v or version_of_unknown()) + 1, NOW))
  redis.call('HSET', user.key, 'status', status, 'since', user.since, 'seen', user.seen or '',
    'v', user.v, 'by', nonce)
  return row(user)
end
