-- End this node's lease now: its people stay for the grace, then a survivor takes them away.

if redis.call('ZSCORE', NODES, ME) then
  redis.call('ZADD', NODES, NOW, ME)
end
return 1
