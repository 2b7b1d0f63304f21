-- What every script of a worker needs: a lease, which is an execution as RQ keeps it.

local now_ms = server_ms()  -- not the worker's clock: leases must mean the same to all workers
local now, now_text = now_ms / 1000, string.format('%.6f', now_ms / 1000)

-- The type of a job, which its id ends with; an event's own job has none.
local function type_of(id, queue)
  return queue ~= 'events' and string.sub(id, 34) or ''
end

-- A lease lasts as long as the execution's own key. In the registry an execution stands for longer, about as long as RQ
-- lets it: RQ's workers and tools take from there what has expired by clocks of their own, and `rq info` must not take a
-- job from a worker whose heartbeat is a little late.
local MARGIN = 50

-- Let a lease last, from now on; `...` are further fields of the execution.
local function extend_lease(id, execution, queue, lease, ...)
  local member = id .. ':' .. execution
  collect('ZADD', 'rq:wip:' .. queue, math.floor(now) + lease + MARGIN, member)
  redis.call('HSET', 'rq:execution:' .. member, 'last_heartbeat', now_text, ...)
  redis.call('EXPIRE', 'rq:execution:' .. member, lease)
  redis.call('ZADD', 'rq:executions:' .. id, math.floor(now) + lease + 60, execution)
  redis.call('EXPIRE', 'rq:executions:' .. id, lease + 60)
end

-- Begin a lease: what rq.executions.Execution.create writes.
local function begin_lease(id, execution, queue, worker, lease)
  extend_lease(id, execution, queue, lease, 'id', execution, 'job_id', id, 'created_at', now_text,
    'worker_name', worker)
  collect('SADD', 'rq:worker:' .. worker .. ':executions', id .. ':' .. execution)
end

-- Keep the index of a worker's executions a little longer than they last; to be called when any were registered.
local function keep_index(worker, lease)
  redis.call('EXPIRE', 'rq:worker:' .. worker .. ':executions', lease + 60)
end

-- Whether a lease is its worker's still: it is until it is ended.
local function is_held(id, execution, queue)
  return redis.call('ZSCORE', 'rq:wip:' .. queue, id .. ':' .. execution)
end

-- Whether a lease has expired. That of one of our workers is the life of the execution's key; that of RQ's own ends with
-- its score in the registry, too.
local function has_expired(member, score)
  return tonumber(score) <= now or redis.call('EXISTS', 'rq:execution:' .. member) == 0
end

-- Whether a job runs, by anybody's lease but one.
local function is_running(id, queue, but)
  for _, execution in ipairs(redis.call('ZRANGE', 'rq:executions:' .. id, 0, -1)) do
    local member = id .. ':' .. execution
    local score = execution ~= but and redis.call('ZSCORE', 'rq:wip:' .. queue, member)
    if score and not has_expired(member, score) then
      return true
    end
  end
  return false
end

-- End a lease: the last thing that a script does about a job, so that until then it is somewhere.
local function end_lease(id, execution, queue, worker)
  local member = id .. ':' .. execution
  collect('DEL', nil, 'rq:execution:' .. member)
  redis.call('ZREM', 'rq:executions:' .. id, execution)
  collect('ZREM', 'rq:wip:' .. queue, member)
  collect('SREM', 'rq:worker:' .. worker .. ':executions', member)
end

-- Put a job at the head of its queue, once.
local function push_first(queue, id)
  local list = 'rq:queue:' .. queue
  if not redis.call('LPOS', list, id, 'MAXLEN', 1000) then
    redis.call('LPUSH', list, id)
  end
end
