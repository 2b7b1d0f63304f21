-- Renew a worker's leases: a sign of life of the worker, of each execution and of its job, as RQ writes them.
--
-- ARGV  now in seconds, now as RQ writes dates, the worker's name, seconds of a lease, seconds the worker is known
--       without a sign of life, then for each execution: the job's id, its own, the queue
-- Returns {1 when the worker was still known, executions that are not ours any more}

local now, date, worker, lease = server_ms() / 1000, ARGV[2], ARGV[3], tonumber(ARGV[4])
local key, index, lost = 'rq:worker:' .. worker, 'rq:worker:' .. worker .. ':executions', {}
local known = redis.call('HEXISTS', key, 'birth')

redis.call('HSET', key, 'last_heartbeat', date)
redis.call('EXPIRE', key, ARGV[5])
redis.call('EXPIRE', index, ARGV[5])
for at = 6, #ARGV, 3 do
  local id, execution, queue = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local member = id .. ':' .. execution
  if redis.call('ZSCORE', 'rq:wip:' .. queue, member) then
    redis.call('ZADD', 'rq:wip:' .. queue, 'XX', math.floor(now) + lease, member)
    redis.call('HSET', 'rq:execution:' .. member, 'last_heartbeat', string.format('%.6f', now))
    redis.call('EXPIRE', 'rq:execution:' .. member, lease)
    redis.pcall('ZADD', 'rq:executions:' .. id, 'XX', math.floor(now) + lease + 60, execution)
    redis.call('EXPIRE', 'rq:executions:' .. id, lease + 60)
    if redis.call('EXISTS', 'rq:job:' .. id) == 1 then
      redis.pcall('HSET', 'rq:job:' .. id, 'last_heartbeat', date)
    end
  else
    lost[#lost + 1] = execution
  end
end
return {known, lost}
