-- Sliding-window rate limit, semaphore and circuit breaker (with a half-open probe) of job types, across all workers.
-- In front of it stands the table LIMITS, by the job's type as ids have it: {queue, concurrency, lease_ms} or
-- {starts, period_ms}, {failures, pause_ms}, {ordered}.
--
-- deskbell:rate:<type>      a sorted set of the starts that count, each with the ms until which it does: `<job>` while
--                           the job runs, `<job> <ms>` when it has left its worker
-- deskbell:slots:<type>     a sorted set of the jobs that hold a slot, each with the ms at which the slot expires
-- deskbell:failures:<type>  how many failed in a row
-- deskbell:paused           a hash: for each type whose breaker is open, as JSON, {queue, since, until, cause, ms,
--                           probe, probe_until}; ms only where a failure asked for a pause of its own
-- deskbell:paused:queues    a hash: the queues that a person has paused (shared/redis/pauses.py)
-- deskbell:noted:<execution>  what was answered when its failure was noted, for a worker that did not get the answer
--
-- All times are the server's, in ms: workers' clocks differ.

local UNLIMITED, DAY_SECONDS = 1e9, 86400
local guarded = {}
local opens_at = nil  -- the earliest end of the rates and pauses that throttled something
local resumed = {}  -- the job types whose breakers have closed, each followed by its queue
local is_probing = false  -- whether a claim has taken a probe: the rest of its queue waits for the outcome
for job_type, limit in pairs(LIMITS) do
  if limit.failures then
    guarded[limit.queue] = guarded[limit.queue] or {}
    table.insert(guarded[limit.queue], job_type)
  end
end

local function server_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function wait_until(ms)
  opens_at = math.min(opens_at or ms, ms)
end

-- A table from JSON; an empty one when the text is not JSON, which must not end a script that claims.
local function read_table(text)
  local is_json, read = pcall(cjson.decode, text or '{}')
  return is_json and type(read) == 'table' and read or {}
end

local function read_pause(job_type)
  local limit = LIMITS[job_type]
  local pause = limit and limit.failures and read_table(redis.call('HGET', 'deskbell:paused', job_type))
  if not pause or type(pause['until']) ~= 'number' or type(pause.since) ~= 'number' then
    return nil
  end
  pause.probe_until = tonumber(pause.probe_until) or 0
  return pause
end

local function write_pause(job_type, pause)
  local written = {queue = LIMITS[job_type].queue, since = pause.since, ['until'] = pause['until'], cause = pause.cause, ms = pause.ms}
  if pause.probe then
    written.probe, written.probe_until = pause.probe, pause.probe_until
  end
  redis.call('HSET', 'deskbell:paused', job_type, cjson.encode(written))
end

local function is_open(pause, now_ms)
  return now_ms < pause['until'] or now_ms < pause.probe_until
end

-- Whether a type's breaker is open. A pause that is longer than the type's, from before it was declared anew, is cut,
-- unless a failure asked for it; one that ended a day ago is forgotten.
local function is_paused(job_type, now_ms)
  local pause = read_pause(job_type)
  local latest = now_ms + (pause and tonumber(pause.ms) or LIMITS[job_type].pause_ms)
  if pause and now_ms > pause['until'] + DAY_SECONDS * 1000 then
    redis.call('HDEL', 'deskbell:paused', job_type)
    return false
  elseif pause and pause['until'] > latest then
    pause['until'] = latest
    write_pause(job_type, pause)
  end
  if pause and now_ms < pause['until'] then
    wait_until(pause['until'])
  end
  return pause and is_open(pause, now_ms)
end

-- How many jobs may be claimed from a queue: none while a person has paused it, or the breaker of any type on it is open,
-- or a probe is under way.
local function may_claim(queue, now_ms)
  is_probing = false
  if redis.call('HEXISTS', 'deskbell:paused:queues', queue) == 1 then
    return 0
  end
  for _, job_type in ipairs(guarded[queue] or {}) do
    if is_paused(job_type, now_ms) then
      return 0
    end
  end
  return UNLIMITED
end

-- What a job calls is reached some time between the job's start and its end: one job takes its connection from a pool,
-- the next has to make one. So that no period holds more calls than starts, a start counts until a period after the end;
-- of a job that takes longer than a period, until two periods after the start.
local function admits_rate(limit, job_type, job_id, now_ms)
  local key = 'deskbell:rate:' .. job_type
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms)
  if not redis.call('ZSCORE', key, job_id) and redis.call('ZCARD', key) >= limit.starts then
    wait_until(tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]))
    return false
  end
  redis.call('ZADD', key, now_ms + 2 * limit.period_ms, job_id)
  redis.call('PEXPIRE', key, 2 * limit.period_ms)
  return true
end

-- A job has left its worker: its start counts for one more period.
local function end_start(limit, job_type, job_id)
  local key, now_ms = 'deskbell:rate:' .. job_type, server_ms()
  local counts_until = redis.call('ZSCORE', key, job_id)
  if counts_until then
    redis.call('ZREM', key, job_id)
    redis.call('ZADD', key, math.min(counts_until, now_ms + limit.period_ms), string.format('%s %d', job_id, now_ms))
  end
end

-- A job that was admitted has not begun: its start does not count.
local function uncount_start(job_type, job_id)
  if LIMITS[job_type] and LIMITS[job_type].starts then
    redis.call('ZREM', 'deskbell:rate:' .. job_type, job_id)
  end
end

-- Take a slot of the semaphore; a job that is claimed again keeps its own.
local function admits_concurrency(limit, job_type, job_id, now_ms)
  local key = 'deskbell:slots:' .. job_type
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms)
  if not redis.call('ZSCORE', key, job_id) and redis.call('ZCARD', key) >= limit.concurrency then
    return false
  end
  redis.call('ZADD', key, now_ms + limit.lease_ms, job_id)
  return true
end

-- Whether a job may start now; if so it holds its slot, and after a pause of its type it is the probe.
local function admits(job_type, job_id, now_ms)
  local limit = LIMITS[job_type]
  if not limit then
    return true
  end
  local pause = read_pause(job_type)
  if pause and is_open(pause, now_ms) then
    return false
  elseif limit.starts and not admits_rate(limit, job_type, job_id, now_ms) then
    return false
  elseif limit.concurrency and not admits_concurrency(limit, job_type, job_id, now_ms) then
    return false
  end
  if pause then
    pause.probe, pause.probe_until = job_id, now_ms + limit.lease_ms
    write_pause(job_type, pause)
    is_probing = true
  end
  return true
end

-- The digest of an ordered job's partition key; nil when fan-out did not write one.
local function key_digest(job_type, job_id)
  local limit = LIMITS[job_type]
  local order = limit and limit.ordered and read_table(redis.call('HGET', 'rq:job:' .. job_id, 'meta')).order
  return type(order) == 'table' and type(order[1]) == 'string' and order[1] or nil
end

local function free_lock(job_type, job_id)
  local digest = key_digest(job_type, job_id)
  local lock = digest and 'deskbell:turn:' .. job_type .. ':' .. digest
  if lock and redis.call('GET', lock) == job_id then
    redis.call('DEL', lock)
  end
end

-- A job does not run any more: its slot is free, and if it was the probe another may be.
local function free_slot(job_type, job_id)
  local limit = LIMITS[job_type]
  if limit and limit.concurrency then
    redis.call('ZREM', 'deskbell:slots:' .. job_type, job_id)
  elseif limit and limit.starts then
    end_start(limit, job_type, job_id)
  end
  local pause = read_pause(job_type)
  if pause and pause.probe == job_id then
    pause.probe = nil
    write_pause(job_type, pause)
  end
end

-- A job has left its worker; its outcome does not matter.
local function free_slot_and_lock(job_type, job_id)
  free_slot(job_type, job_id)
  free_lock(job_type, job_id)
end

-- What a job calls has answered: no failures in a row any more, and after a probe the breaker is closed.
local function record_answer(job_type, job_id)
  local limit = LIMITS[job_type]
  if not (limit and limit.failures) then
    return
  end
  redis.call('DEL', 'deskbell:failures:' .. job_type)
  local pause = read_pause(job_type)
  if pause and pause.probe == job_id then
    redis.call('HDEL', 'deskbell:paused', job_type)
    resumed[#resumed + 1], resumed[#resumed + 2] = job_type, limit.queue
  end
end

-- A job has succeeded; an ordered one leaves the jobs of its key.
local function record_success(job_type, job_id)
  record_answer(job_type, job_id)
  local digest = key_digest(job_type, job_id)
  if digest then
    redis.call('ZREM', 'deskbell:order:' .. job_type .. ':' .. digest, job_id)
  end
end

-- A job has failed. `failures` is how many failures this one stands for: as many as open the breaker when what it called
-- serves nobody; `pause_ms`, which may be nil, is a pause other than the type's. Returns 1, or 0 when the attempt does not
-- count, since the breaker was open already; then until when this failure has opened the breaker, or 0.
local function record_failure(job_type, job_id, now_ms, failures, cause, pause_ms)
  local limit = LIMITS[job_type]
  if not (limit and limit.failures) then
    return 1, 0
  end
  local pause, counts = read_pause(job_type), 0
  if pause and pause.probe ~= job_id then
    return 0, 0
  elseif not pause then
    counts = 1
    local row = redis.call('INCRBY', 'deskbell:failures:' .. job_type, failures)
    redis.call('EXPIRE', 'deskbell:failures:' .. job_type, DAY_SECONDS)
    if row < limit.failures then
      return counts, 0
    end
    redis.call('DEL', 'deskbell:failures:' .. job_type)
  end
  local until_ms = now_ms + (pause_ms or limit.pause_ms)
  write_pause(job_type, {since = pause and pause.since or now_ms, ['until'] = until_ms, cause = cause, ms = pause_ms})
  return counts, until_ms
end
