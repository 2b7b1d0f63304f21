-- Claim jobs: move ids from queues straight into RQ's StartedJobRegistry, and write what RQ writes when it begins a
-- job. Redis runs a script as a whole: a job is at every moment in a list or in a registry, never in a worker alone.
--
-- KEYS  the queues' lists, in the order they are to be looked at
-- ARGV  now as RQ writes dates, the worker's name, free slots, how many events beside those, seconds of a lease, the first
--       24 hex digits of the executions' ids, how many attempts each job type has as JSON, 0 for types that are left
--       to other workers, then the queues' names
-- Returns {1 when RQ's workers are suspended, how many jobs are to be asked for again, the queues' lengths,
--          {id, execution, number of the queue, data, timeout, attempt or 0, …}, {ids that have no job, …},
--          the ms until a rate or a pause lets go, or -1 when none of them holds anything back, now in ms}
--
-- Only the first 500 ids of a queue are looked at. A job that a limit holds back stays where it is; the jobs behind it,
-- within those 500, are not held up. An id that is on a list while its job runs is a duplicate, and removed; one that was
-- queued anew meanwhile waits until the job has ended.

local WINDOW, STEP = 500, 50
local date, worker, lease = ARGV[1], ARGV[2], tonumber(ARGV[5])
local room = {jobs = tonumber(ARGV[3]), events = tonumber(ARGV[4])}
local prefix, attempts_of = ARGV[6], cjson.decode(ARGV[7])
local claimed, taken, missing, held, count = {}, {}, {}, 0, 0

local function claim(id, queue, number, job, attempts, may_expire)
  local key, execution = 'rq:job:' .. id, prefix .. string.format('%08x', count + 1)
  local attempt, meta = 0, nil
  if attempts then
    attempt, meta = begin_attempt(job[3], attempts)
  end
  begin_lease(id, execution, queue, worker, lease)
  count, taken[id] = count + 1, true
  local fields = {'status', 'started', 'started_at', date, 'last_heartbeat', date, 'worker_name', worker}
  if attempts then
    fields[9], fields[10], fields[11], fields[12] = 'meta', meta, 'retries_left', attempts - attempt
  end
  redis.call('HSET', key, unpack(fields))
  if may_expire then
    redis.call('PERSIST', key)
  end
  local at = #claimed
  claimed[at + 1], claimed[at + 2], claimed[at + 3] = id, execution, number
  claimed[at + 4], claimed[at + 5], claimed[at + 6] = job[1], job[2], attempt
end

-- Look at an id: its job is `claimed`, `left` where it is, or the id is to be `removed`. An id whose job runs, has ended or
-- waits for its time is there once too often: a push whose answer was lost was sent again.
local function look_at(id, queue, number)
  local job = redis.call('HMGET', 'rq:job:' .. id, 'data', 'timeout', 'meta', 'status', 'worker_name', 'ttl')
  local data, status, job_type = job[1], job[4], type_of(id, queue)
  local has_begun = (job[5] or '') ~= ''  -- ever: the name of its last worker stays
  local runs = taken[id] or (has_begun and is_running(id, queue))
  if not data or status == 'finished' or status == 'scheduled' or (runs and status == 'started') then
    missing[#missing + 1] = not data and id or nil
    return 'removed'
  elseif runs or attempts_of[job_type] == 0 or not admits(job_type, id, now_ms) then
    return 'left'
  end
  claim(id, queue, number, job, attempts_of[job_type], has_begun or job[6])
  return 'claimed'
end

-- Take ids off a list of which the first ids were looked at.
local function take_off(list, ids, seen)
  if #ids == seen then
    redis.call('LTRIM', list, seen, -1)
    return
  end
  for _, id in ipairs(ids) do
    redis.call('LREM', list, 1, id)
  end
end

local function claim_from(list, queue, number)
  local kind = queue == 'events' and 'events' or 'jobs'
  local may, seen, claims, off = math.min(room[kind], may_claim(queue, now_ms)), 0, 0, {}
  while claims < may and seen < WINDOW and not is_probing do
    local ids = redis.call('LRANGE', list, seen, seen + math.min(math.max(may - claims, STEP), WINDOW - seen) - 1)
    if #ids == 0 then
      break
    end
    for _, id in ipairs(ids) do
      local found = look_at(id, queue, number)
      seen = seen + 1
      if found == 'left' then
        held = held + 1
      else
        off[#off + 1] = id
        claims = claims + (found == 'claimed' and 1 or 0)
      end
      if claims == may or is_probing then
        break
      end
    end
  end
  room[kind] = room[kind] - claims
  write_collected()
  take_off(list, off, seen)
  if seen == WINDOW and claims < may and #off > claims then
    held = held + 1  -- there may be jobs behind the ids that have none
  end
end

local lengths = {}
local suspended = redis.call('EXISTS', 'rq:suspended')
for number, list in ipairs(KEYS) do
  local queue = ARGV[7 + number]
  if suspended == 0 then
    claim_from(list, queue, number)
  end
  lengths[number] = redis.call('LLEN', list)
end
if count > 0 then
  keep_index(worker, lease)
  if redis.call('EXISTS', 'rq:worker:' .. worker) == 1 then
    redis.call('HSET', 'rq:worker:' .. worker, 'state', 'busy')
  end
end
return {suspended, held, lengths, claimed, missing, opens_at and math.max(0, opens_at - now_ms) or -1, now_ms}
