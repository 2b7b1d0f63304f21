-- Put dead letters back at the end of their queues, with all their attempts; or delete them. Only what is in the
-- FailedJobRegistry is touched, and leaves it in the same moment: however often this is run, by however many people, a
-- dead letter is enqueued once.
--
-- KEYS  the entry in the audit log
-- ARGV  `replay`, and now as RQ writes dates; or `discard`, and 1 to delete also what other jobs wait for; 1 to do
--       nothing, a dry run; then for each dead letter: queue, id, and to replay it `meta` and retries left, '' to leave
--       them as they are
-- Returns for each what became of it: replayed, discarded, gone, expired, alive, limited or awaited

local replays, date, also_awaited, is_dry = ARGV[1] == 'replay', ARGV[2], ARGV[2] == '1', ARGV[3] == '1'
local outcomes, count = {}, 0

-- Why a dead letter is not touched; nil when it is.
local function obstacle(queue, id)
  if not redis.call('ZSCORE', 'rq:failed:' .. queue, id) then
    return 'gone'
  end
  local job = redis.call('HMGET', 'rq:job:' .. id, 'data', 'status', 'rate_limit_key')
  if replays and not job[1] then
    return 'expired'
  end
  if job[2] and job[2] ~= 'failed' and job[2] ~= 'stopped' then
    return 'alive'  -- it is on its way again; RQ's own code removes what it forgot in the registry
  end
  if replays then
    return job[3] and job[3] ~= '' and 'limited' or nil  -- one of RQ's rate limits: `rq requeue` asks for a slot
  end
  local is_awaited = redis.call('EXISTS', 'rq:job:' .. id .. ':dependents') == 1
  return is_awaited and not also_awaited and 'awaited' or nil
end

-- What rq.registry.BaseRegistry.requeue writes.
local function put_back(queue, id, meta, retries_left)
  local key = 'rq:job:' .. id
  redis.call('RPUSH', 'rq:queue:' .. queue, id)
  redis.call('ZREM', 'rq:failed:' .. queue, id)
  redis.call('HSET', key, 'status', 'queued', 'origin', queue, 'enqueued_at', date, 'started_at', '', 'ended_at', '')
  if meta ~= '' then
    redis.call('HSET', key, 'meta', meta)
  end
  if retries_left ~= '' then
    redis.call('HSET', key, 'retries_left', retries_left)
  end
  redis.call('PERSIST', key)
end

-- An ordered job takes its old position again before any job of its partition key asks for the lock: see fifo_lock.lua.
local function take_position(id, meta)
  local order = meta ~= '' and cjson.decode(meta).order
  if order then
    local group = string.sub(id, 34) .. ':' .. order[1]
    redis.call('ZADD', 'deskbell:order:' .. group, order[2], id)
    redis.call('SADD', 'deskbell:orders', group)
  end
end

for at = 4, #ARGV, 4 do
  local queue, id, meta, retries_left = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local outcome = obstacle(queue, id)
  if not outcome then
    outcome, count = replays and 'replayed' or 'discarded', count + 1
    if is_dry then
      count = 0
    elseif replays then
      put_back(queue, id, meta, retries_left)
      take_position(id, meta)
    else
      delete(queue, id)
    end
  end
  outcomes[#outcomes + 1] = outcome
end
if count > 0 then
  redis.call('HINCRBY', KEYS[1], 'done', count)
end
return outcomes
