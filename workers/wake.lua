-- Queue the first job of each group that RQ left waiting: the one it depends on was deleted, cancelled or buried by hand.
--
-- ARGV  now as RQ writes dates, then for each group: its name, 1 when dead letters hold their key
-- Returns the ids that were queued

local woken = {}

local function wake(id)
  local key, waits_for = 'rq:job:' .. id, 'rq:job::' .. id .. ':dependencies'
  local queue = redis.call('HGET', key, 'origin')
  if not queue then  -- it is no job that anybody could queue
    return
  end
  redis.call('RPUSH', 'rq:queue:' .. queue, id)
  redis.call('HSET', key, 'status', 'queued', 'enqueued_at', ARGV[1])
  for _, other in ipairs(redis.call('SMEMBERS', waits_for)) do
    redis.call('SREM', 'rq:job:' .. other .. ':dependents', id)  -- or RQ, about to wake it, would queue it twice
  end
  redis.call('DEL', waits_for)
  redis.call('ZREM', 'rq:deferred:' .. queue, id)
  woken[#woken + 1] = id
end

local function look_at(group, holds)
  local id, status = first_of(group, holds)
  if not id then
    redis.call('SREM', 'deskbell:orders', group)
    redis.call('DEL', 'deskbell:turn:' .. group)
  elseif status == 'deferred' then
    wake(id)
  end
end

for at = 2, #ARGV, 2 do
  look_at(ARGV[at], ARGV[at + 1] == '1')
end
return woken
