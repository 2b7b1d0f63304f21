-- What RQ writes of a job that has succeeded, and deletes of one that is not to be kept.
--
-- ARGV  now as RQ writes dates, the worker's name

local date, worker = ARGV[1], ARGV[2]

local function result_ttl(written)
  local is_number = written == '-1' or string.find(written or '', '^%d%d?%d?%d?%d?%d?%d?%d?%d?$')
  return is_number and tonumber(written) or 500  -- RQ's DEFAULT_RESULT_TTL
end

-- What rq.job.Job.delete deletes of a job that is not to be kept.
local function forget(id)
  local key = 'rq:job:' .. id
  redis.call('DEL', key, key .. ':dependents', 'rq:job::' .. id .. ':dependencies',  -- RQ writes two colons
    'rq:results:' .. id, 'rq:executions:' .. id)
end

local function finish(id, execution, queue, claimed_at, ttl, status, has_dependencies)
  local key, results = 'rq:job:' .. id, 'rq:results:' .. id
  status = status == 'queued' and status or 'finished'  -- one that was queued anew while it ran is to run again
  redis.call('HSET', key, 'status', status, 'ended_at', date, 'last_heartbeat', date)
  redis.call('EXPIRE', key, ttl)
  if has_dependencies then
    redis.call('EXPIRE', 'rq:job::' .. id .. ':dependencies', ttl)
  end
  redis.call('XADD', results, 'MAXLEN', '~', 10, '*', 'type', 1, 'worker_name', worker, 'execution_id', execution,
    'execution_started_at', claimed_at, 'execution_ended_at', now_text)
  redis.call('EXPIRE', results, ttl)
  collect('ZADD', 'rq:finished:' .. queue, math.floor(now) + ttl, id)
end
