-- What job types ask for across all workers: limits, and breakers that pause queues. In front of it stands
-- the table LIMITS, by the job's type as ids have it: {queue, concurrency, lease_ms} or {starts, period_ms},
-- {failures, pause_ms}, {ordered}.
--
-- deskbell:rate:<type>      a sorted set of the starts that count, each with the ms until which it does: `<job>` while the
--                           job runs, `<job> <ms>` when it has left its worker
-- deskbell:slots:<type>     a sorted set of the jobs that run, each with the ms at which its slot is free in any case
-- deskbell:failures:<type>  how many failed in a row
-- deskbell:paused           a hash: for each type whose jobs keep failing, as JSON, {queue, since, until, cause, probe,
--                           probe_until}
-- deskbell:noted:<execution>  what was answered when its failure was noted, for a worker that did not get the answer
--
-- All times are the server's, in ms: workers' clocks differ.

local EVERYTHING, DAY_SECONDS = 1e9, 86400
local guarded = {}
local opens_at = nil  -- when the first of the rates and pauses that held something back lets go
local resumed = {}  -- the job types whose pauses have ended, each followed by its queue
local is_probing = false  -- set when a claim has begun a probe: the rest of its queue waits for the outcome
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

local function read_pause(job_type)
  local limit = LIMITS[job_type]
  local text = limit and limit.failures and redis.call('HGET', 'deskbell:paused', job_type)
  local is_json, pause = pcall(cjson.decode, text or 'null')
  if not is_json or type(pause) ~= 'table' or type(pause['until']) ~= 'number' or type(pause.since) ~= 'number' then
    return nil  -- unreadable: replaced by the next, or nothing would be claimed any more
  end
  pause.probe_until = tonumber(pause.probe_until) or 0
  return pause
end

local function write_pause(job_type, pause)
  local written = {queue = LIMITS[job_type].queue, since = pause.since, ['until'] = pause['until'], cause = pause.cause}
  if pause.probe then
    written.probe, written.probe_until = pause.probe, pause.probe_until
  end
  redis.call('HSET', 'deskbell:paused', job_type, cjson.encode(written))
end

local function holds_back(pause, now_ms)
  return now_ms < pause['until'] or now_ms < pause.probe_until
end

-- Whether a pause goes on. No worker writes one that is longer than its type's; one that is long past is forgotten.
local function is_paused(job_type, now_ms)
  local pause = read_pause(job_type)
  local latest = now_ms + LIMITS[job_type].pause_ms
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
  return pause and holds_back(pause, now_ms)
end

-- How many jobs may be claimed from a queue: none while jobs of any type on it keep failing, or one of them is tried.
local function may_claim(queue, now_ms)
  is_probing = false
  for _, job_type in ipairs(guarded[queue] or {}) do
    if is_paused(job_type, now_ms) then
      return 0
    end
  end
  return EVERYTHING
end

-- What a job calls is reached somewhere between the job's start and its end: one takes its connection from a pool, the
-- next has to make one. So a start counts until a period after the end, that no period may hold more calls than starts;
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

-- A job has left its worker: its start counts for a period yet.
local function end_start(limit, job_type, job_id)
  local key, now_ms = 'deskbell:rate:' .. job_type, server_ms()
  local counts_until = redis.call('ZSCORE', key, job_id)
  if counts_until then
    redis.call('ZREM', key, job_id)
    redis.call('ZADD', key, math.min(counts_until, now_ms + limit.period_ms), string.format('%s %d', job_id, now_ms))
  end
end

-- A job that was admitted has not begun after all: its start does not count.
local function give_back_start(job_type, job_id)
  if LIMITS[job_type] and LIMITS[job_type].starts then
    redis.call('ZREM', 'deskbell:rate:' .. job_type, job_id)
  end
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

-- Whether a job may start now; if so it has its slot, and after a pause of its type it is the probe.
local function admits(job_type, job_id, now_ms)
  local limit = LIMITS[job_type]
  if not limit then
    return true
  end
  local pause = read_pause(job_type)
  if pause and holds_back(pause, now_ms) then
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

-- The digest of an ordered job's key; nil when fan-out did not write one.
local function key_digest(job_type, job_id)
  local limit = LIMITS[job_type]
  local meta = limit and limit.ordered and redis.call('HGET', 'rq:job:' .. job_id, 'meta')
  return meta and string.match(meta, '"order": ?%["(%x+)"') or nil
end

local function give_back_turn(job_type, job_id)
  local digest = key_digest(job_type, job_id)
  local turn = digest and 'deskbell:turn:' .. job_type .. ':' .. digest
  if turn and redis.call('GET', turn) == job_id then
    redis.call('DEL', turn)
  end
end

-- What a job calls is done with: its slot is free, and if it was a probe another may be.
local function release_slot(job_type, job_id)
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

-- A job has left its worker, however: its slot and its turn are free.
local function release(job_type, job_id)
  release_slot(job_type, job_id)
  give_back_turn(job_type, job_id)
end

-- What a job calls has answered: the row of failures ends, and after a probe the queue goes on.
local function note_answer(job_type, job_id)
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

-- A job has succeeded; an ordered one need not be passed over later.
local function note_success(job_type, job_id)
  note_answer(job_type, job_id)
  local digest = key_digest(job_type, job_id)
  if digest then
    redis.call('ZREM', 'deskbell:order:' .. job_type .. ':' .. digest, job_id)
  end
end

-- A job failed. `failures` is how many failures this one stands for: as many as open the breaker when what it called
-- serves nobody. Returns 1, or 0 when that attempt is not to count: its queue is paused for jobs of its type; then until
-- when this failure has paused the queue, or 0.
local function note_failure(job_type, job_id, now_ms, failures, cause)
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
  local until_ms = now_ms + limit.pause_ms
  write_pause(job_type, {since = pause and pause.since or now_ms, ['until'] = until_ms, cause = cause})
  return counts, until_ms
end
