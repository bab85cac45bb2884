-- Where somebody is connected.  ARGV: 7 user → the nodes that hold a device, and are alive
-- Also those that hold it for the grace only: a node is asked once too often, rather than not.

local nodes = {}
for node in pairs(load(ARGV[FIRST]).nodes) do
  if alive(node) then
    nodes[#nodes + 1] = node
  end
end
return nodes
