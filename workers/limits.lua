-- What job types ask for across all workers: limits, and breakers that pause queues. In front of it stands the table
-- LIMITS, by the job's type as ids have it: {queue, concurrency, lease_ms} or {starts, period_ms}, {failures, pause_ms}, {ordered}.
--
-- deskbell:starts:<type>    a list of when the last `starts` jobs were started, in ms, the latest first
-- deskbell:slots:<type>     a sorted set of the jobs that run, each with the ms at which its slot is free in any case
-- deskbell:failures:<type>  how many failed in a row
-- deskbell:paused           a hash: for each paused queue, as JSON, {job_type, since, until, probe, probe_until}, in ms
--
-- All times are the server's: workers' clocks differ.

local EVERYTHING, DAY_SECONDS = 1e9, 86400
local guarded, probed = {}, nil
for _, limit in pairs(LIMITS) do
  if limit.failures then
    guarded[limit.queue] = true
  end
end

local function server_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function read_pause(queue)
  local text = guarded[queue] and redis.call('HGET', 'deskbell:paused', queue)
  local is_json, pause = pcall(cjson.decode, text or '')
  return is_json and type(pause) == 'table' and pause['until'] and pause or nil
end

local function write_pause(queue, pause)
  redis.call('HSET', 'deskbell:paused', queue, cjson.encode(pause))
end

-- How many jobs may be claimed from a queue: none while it is paused; one, the probe, when the pause has passed.
local function may_claim(queue, now_ms)
  local pause = read_pause(queue)
  probed = nil
  if not pause then
    return EVERYTHING
  elseif now_ms < pause['until'] or now_ms < (pause.probe_until or 0) then
    return 0
  end
  probed = {queue = queue, pause = pause}
  return 1
end

local function admits_rate(limit, job_type, now_ms)
  local key = 'deskbell:starts:' .. job_type
  local first = redis.call('LINDEX', key, limit.starts - 1)
  if first and tonumber(first) > now_ms - limit.period_ms then
    return false
  end
  redis.call('LPUSH', key, string.format('%d', now_ms))
  redis.call('LTRIM', key, 0, limit.starts - 1)
  redis.call('PEXPIRE', key, limit.period_ms)
  return true
end

-- A job that is claimed again keeps the slot that it had.
local function admits_concurrency(limit, job_type, job_id, now_ms)
  local key = 'deskbell:slots:' .. job_type
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms)
  if not redis.call('ZSCORE', key, job_id) and redis.call('ZCARD', key) >= limit.concurrency then
    return false
  end
  redis.call('ZADD', key, now_ms + limit.lease_ms, job_id)
  return true
end

-- Whether a job may start now; if so it has its slot, and after a pause it is the probe if it is of the type that broke.
local function admits(job_type, job_id, now_ms)
  local limit = LIMITS[job_type]
  if not limit then
    return true
  elseif limit.starts and not admits_rate(limit, job_type, now_ms) then
    return false
  elseif limit.concurrency and not admits_concurrency(limit, job_type, job_id, now_ms) then
    return false
  end
  if probed and probed.pause.job_type == job_type then
    probed.pause.probe, probed.pause.probe_until = job_id, now_ms + limit.lease_ms
    write_pause(probed.queue, probed.pause)
    probed = nil
  end
  return true
end

-- A job has left its worker, however: its slot is free, and if it was a probe another may be.
local function release(job_type, job_id)
  local limit = LIMITS[job_type]
  if limit and limit.concurrency then
    redis.call('ZREM', 'deskbell:slots:' .. job_type, job_id)
  end
  local pause = limit and limit.failures and read_pause(limit.queue)
  if pause and pause.probe == job_id then
    pause.probe, pause.probe_until = nil, nil
    write_pause(limit.queue, pause)
  end
end

-- What a job calls has answered: the row of failures ends, and after a probe the queue goes on.
local function note_answer(job_type, job_id)
  local limit = LIMITS[job_type]
  if not (limit and limit.failures) then
    return
  end
  redis.call('DEL', 'deskbell:failures:' .. job_type)
  local pause = read_pause(limit.queue)
  if pause and pause.probe == job_id then
    redis.call('HDEL', 'deskbell:paused', limit.queue)
  end
end

-- An ordered job has succeeded: it need not be passed over later.
local function leave_order(job_type, job_id)
  local meta = redis.pcall('HGET', 'rq:job:' .. job_id, 'meta')
  local digest = type(meta) == 'string' and string.match(meta, '"order": ?%["(%x+)"')
  if digest then
    redis.call('ZREM', 'deskbell:order:' .. job_type .. ':' .. digest, job_id)
  end
end

local function note_success(job_type, job_id)
  note_answer(job_type, job_id)
  local limit = LIMITS[job_type]
  if limit and limit.ordered then
    leave_order(job_type, job_id)
  end
end

-- A job failed. Returns 1, or 0 when that attempt is not to count: its queue is paused for jobs of its type.
local function note_failure(job_type, job_id, now_ms)
  local limit = LIMITS[job_type]
  if not (limit and limit.failures) then
    return 1
  end
  local pause = read_pause(limit.queue)
  if pause and pause.job_type == job_type then
    if pause.probe == job_id then
      pause['until'], pause.probe, pause.probe_until = now_ms + limit.pause_ms, nil, nil
      write_pause(limit.queue, pause)
    end
    return 0
  end
  local failures = redis.call('INCR', 'deskbell:failures:' .. job_type)
  redis.call('EXPIRE', 'deskbell:failures:' .. job_type, DAY_SECONDS)
  if failures >= limit.failures and not pause then
    write_pause(limit.queue, {job_type = job_type, since = now_ms, ['until'] = now_ms + limit.pause_ms})
    redis.call('DEL', 'deskbell:failures:' .. job_type)
  end
  return 1
end
