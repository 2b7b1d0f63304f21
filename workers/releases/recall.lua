-- Recall jobs that were left: they are queued, as RQ's scheduler queues what is due, in the order of their events.
--
-- ARGV  now as RQ writes dates, the queue, what they need, how many at most
-- Returns how many were queued, and 1 when there may be more

local date, queue, need, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local key = 'deskbell:left:' .. queue .. ':' .. need
local found = redis.call('ZPOPMIN', key, most)
local count = 0
for at = 1, #found, 2 do
  local id = found[at]
  if redis.call('ZREM', 'rq:scheduled:' .. queue, id) == 1 and redis.call('EXISTS', 'rq:job:' .. id) == 1 then
    redis.call('RPUSH', 'rq:queue:' .. queue, id)
    redis.call('HSET', 'rq:job:' .. id, 'status', 'queued', 'enqueued_at', date)
    count = count + 1
  end
end
if redis.call('EXISTS', key) == 1 then
  return {count, 1}
end
redis.call('SREM', 'deskbell:left', queue .. ':' .. need)
return {count, 0}
