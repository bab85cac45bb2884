-- How these people are.  ARGV: 7 … users → a row each
-- Someone whose every node was given up is offline for a reader, before the reaper comes to it;
-- and a choice that has ended is none, before that is announced.

local rows = {}
for i = FIRST, #ARGV do
  local user = load(ARGV[i])
  local status = visible(user)
  if status ~= user.status then
    become(user, status)
  end
  rows[#rows + 1] = row(user)
end
return rows
