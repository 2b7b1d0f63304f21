-- Reap the leases of a queue that have expired, of any worker: the job goes back to the head of the queue, its attempt
-- counted. A job that has no attempt left is leased anew, so that its dead letter can be written as RQ writes it.
--
-- ARGV  now as RQ writes dates, the worker's name, the queue, seconds of a lease, the first 24 hex digits of the
--       executions' ids, how many at most, when this worker's heartbeat was taken last, or ''
-- Returns {ids put back, {id, execution, …} of jobs that have no attempt left, how many leases were ended: fewer than at
--          most when there are no more, or none that can be reaped now}

local date, worker, queue, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local prefix, most = ARGV[5], tonumber(ARGV[6])
local registry = 'rq:wip:' .. queue
local reaped, exhausted, ended = {}, {}, 0
-- When Redis has stood still since this worker's heartbeat, with this script in its input, nobody could renew a lease.
if now - (tonumber(ARGV[7]) or now) > lease / 2 then
  return {reaped, exhausted, ended}
end

local function requeue(id, retries_left)
  local key = 'rq:job:' .. id
  if retries_left > 0 then
    push_first(queue, id)
    redis.call('HSET', key, 'status', 'queued', 'enqueued_at', date, 'retries_left', retries_left - 1)
    reaped[#reaped + 1] = id
  else
    local execution = prefix .. string.format('%08x', #exhausted / 2 + 1)
    begin_lease(id, execution, queue, worker, lease)
    exhausted[#exhausted + 1] = id
    exhausted[#exhausted + 1] = execution
  end
end

local function end_expired(member, id, execution)
  local owner = redis.call('HGET', 'rq:execution:' .. member, 'worker_name')
  local job = redis.call('HMGET', 'rq:job:' .. id, 'status', 'retries_left')
  if not is_running(id, queue, execution) then  -- begun anew since: only the old execution is to go
    if job[1] == 'started' then
      requeue(id, string.find(job[2] or '', '^%d%d?%d?%d?$') and tonumber(job[2]) or 0)
    end
    free_slot_and_lock(type_of(id, queue), id)
  end
  end_lease(id, execution, queue, owner or '')
  write_collected()
end

-- From 0 on, as RQ's own cleanup does.
local members = redis.call('ZRANGEBYSCORE', registry, 0, now + MARGIN, 'WITHSCORES', 'LIMIT', 0, most)
for at = 1, #members, 2 do
  local member, score = members[at], members[at + 1]
  local id, execution = string.match(member, '^([%w_-]+):([%w_-]*)$')
  if id and has_expired(member, score) then
    end_expired(member, id, execution)
    ended = ended + 1
  end
end
if #exhausted > 0 then
  keep_index(worker, lease)
end
return {reaped, exhausted, ended}
