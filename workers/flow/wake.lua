-- Queue the first job of each partition key that RQ left deferred: the job it depends on was deleted or cancelled, or was
-- moved to the FailedJobRegistry by hand.
--
-- ARGV  now as RQ writes dates; the cursor of the scan; as JSON, for each ordered job type whether dead letters hold
--       their key
-- Returns {the next cursor, {ids that were queued}}

local date, cursor, holds_of = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local woken = {}

local function wake(id)
  local key, waits_for = 'rq:job:' .. id, 'rq:job::' .. id .. ':dependencies'
  local queue = redis.call('HGET', key, 'origin')
  if not queue then  -- the hash holds no job that could be queued
    return
  end
  redis.call('RPUSH', 'rq:queue:' .. queue, id)
  redis.call('HSET', key, 'status', 'queued', 'enqueued_at', date)
  for _, other in ipairs(redis.call('SMEMBERS', waits_for)) do
    redis.call('SREM', 'rq:job:' .. other .. ':dependents', id)  -- or RQ, about to queue it, would queue it twice
  end
  redis.call('DEL', waits_for)
  redis.call('ZREM', 'rq:deferred:' .. queue, id)
  woken[#woken + 1] = id
end

local function wake_first_of(partition, holds)
  local id, status = first_of(partition, holds)
  if not id then
    redis.call('SREM', 'deskbell:orders', partition)
    redis.call('DEL', 'deskbell:turn:' .. partition)
  elseif status == 'deferred' then
    wake(id)
  end
end

local scanned = redis.call('SSCAN', 'deskbell:orders', cursor, 'COUNT', 500)
for _, partition in ipairs(scanned[2]) do
  local holds = holds_of[string.match(partition, '^[^:]*')]
  if holds ~= nil then
    wake_first_of(partition, holds)
  end
end
return {scanned[1], woken}
