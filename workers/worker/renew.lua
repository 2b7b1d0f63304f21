-- Renew a worker's leases: the heartbeat of the worker, of each execution and of its job, as RQ writes them.
--
-- ARGV  now as RQ writes dates, the worker's name, seconds of a lease, seconds the worker is known without a
--       heartbeat, its state, its own record or '', then for each execution: the job's id, its own, the queue
-- Returns {1 when the worker was still known, executions that are not ours any more, now in seconds}

local date, worker, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local key, index, lost = 'rq:worker:' .. worker, 'rq:worker:' .. worker .. ':executions', {}

local function renew(id, execution, queue)
  if not is_held(id, execution, queue) then
    lost[#lost + 1] = execution
    return
  end
  extend_lease(id, execution, queue, lease)
  if redis.call('EXISTS', 'rq:job:' .. id) == 1 then
    redis.call('HSET', 'rq:job:' .. id, 'last_heartbeat', date)
  end
end

local known = redis.call('HEXISTS', key, 'birth')
redis.call('HSET', key, 'last_heartbeat', date, 'state', ARGV[5])
redis.call('EXPIRE', key, ARGV[4])
redis.call('EXPIRE', index, ARGV[4])
if ARGV[6] ~= '' then
  redis.call('SET', 'deskbell:worker:' .. worker, ARGV[6], 'EX', ARGV[4])
end
for at = 7, #ARGV, 3 do
  renew(ARGV[at], ARGV[at + 1], ARGV[at + 2])
end
write_collected()
return {known, lost, now_text}
