-- Claim jobs: move ids from queues straight into RQ's StartedJobRegistry, and write what RQ writes when it begins a
-- job. Redis runs a script as a whole: a job is at every moment in a list or in a registry, never in a worker alone.
--
-- KEYS  the queues' lists, in the order they are to be looked at
-- ARGV  now in seconds, now as RQ writes dates, the worker's name, free slots, seconds of a lease, the first 24 hex
--       digits of the executions' ids, options as JSON, then the queues' names
--       options: attempts {job type: how many it has}, elsewhere {job type: true for those another kind of worker runs}
-- Returns {1 when RQ's workers are suspended, how many jobs a limit holds back, the queues' lengths,
--          {id, execution, number of the queue, data, timeout, attempt or 0, …}, {ids that have no job, …}}
--
-- Only the first 500 ids of a queue are looked at. What a limit holds back, or another kind of worker runs, stays where
-- it is and in its order; the job types behind it, within those 500, are not held up.

local WINDOW, STEP = 500, 50
local date, worker, free, lease = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local prefix, options = ARGV[6], cjson.decode(ARGV[7])
local now_ms = server_ms()  -- not the worker's clock: leases must mean the same to all workers
local now = now_ms / 1000
local claimed, missing, held, count = {}, {}, 0, 0

local function write(id, queue, number, job, attempts)
  count = count + 1
  local key, execution = 'rq:job:' .. id, prefix .. string.format('%08x', count)
  local fields = {'status', 'started', 'started_at', date, 'last_heartbeat', date, 'worker_name', worker}
  local attempt = 0
  if attempts then
    local meta
    attempt, meta = begin_attempt(job[3], attempts)
    fields[9], fields[10], fields[11], fields[12] = 'meta', meta, 'retries_left', attempts - attempt
  end
  redis.call('HSET', key, unpack(fields))
  redis.call('PERSIST', key)
  register(id, execution, queue, worker, now, lease)
  local at = #claimed
  claimed[at + 1], claimed[at + 2], claimed[at + 3] = id, execution, number
  claimed[at + 4], claimed[at + 5], claimed[at + 6] = job[1], job[2], attempt
end

-- Whether an id leaves its list, because it is claimed, or because there is no such job; and whether it is claimed.
local function take(id, queue, number)
  if not string.find(id, '^[%w_-]+$') then
    missing[#missing + 1] = id
    return true, false
  end
  local job_type = queue ~= 'events' and string.sub(id, 34) or ''
  if options.elsewhere[job_type] then
    return false, false
  end
  if not admits(job_type, id, now_ms) then
    held = held + 1
    return false, false
  end
  local job = redis.pcall('HMGET', 'rq:job:' .. id, 'data', 'timeout', 'meta')
  if job.err or not job[1] then
    missing[#missing + 1] = id
    release(job_type, id)
    return true, false
  end
  write(id, queue, number, job, options.attempts[job_type])
  return true, true
end

local function remove(list, ids, last, first_left, taken)
  if not first_left then
    redis.call('LTRIM', list, last, -1)
    return
  end
  for at = 1, last do
    if taken[at] then
      redis.call('LREM', list, 1, ids[at])
    end
  end
end

local function look_at(list, queue, number)
  local may = math.min(free, may_claim(queue, now_ms))
  local ids, taken, first_left, at = {}, {}, nil, 0
  while may > 0 and at < WINDOW do
    local more = redis.call('LRANGE', list, at, math.min(at + math.max(may, STEP), WINDOW) - 1)
    if #more == 0 then
      break
    end
    for _, id in ipairs(more) do
      if may == 0 then
        break
      end
      at = at + 1
      ids[at] = id
      local leaves, is_claimed = take(id, queue, number)
      taken[at] = leaves
      if not leaves then
        first_left = first_left or at
      end
      if is_claimed then
        may, free = may - 1, free - 1
      end
    end
  end
  remove(list, ids, at, first_left, taken)
end

local lengths = {}
local suspended = redis.call('EXISTS', 'rq:suspended')
for number, list in ipairs(KEYS) do
  if suspended == 0 and free > 0 then
    look_at(list, ARGV[7 + number], number)
  end
  lengths[number] = redis.call('LLEN', list)
end
if count > 0 then
  keep_index(worker, lease)
  if redis.call('EXISTS', 'rq:worker:' .. worker) == 1 then
    redis.call('HSET', 'rq:worker:' .. worker, 'state', 'busy')
  end
end
return {suspended, held, lengths, claimed, missing}
