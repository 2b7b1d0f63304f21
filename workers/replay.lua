-- Put dead letters back at the end of their queues, their attempts anew. Only what is in the FailedJobRegistry is put
-- back, and leaves it in the same moment: however often this is run, by however many, a letter is enqueued once.
--
-- KEYS  the record of this replay
-- ARGV  now as RQ writes dates, then for each letter: queue, id, `meta` and retries left, both '' to be left alone
-- Returns what became of each: replayed, gone, expired, alive or limited

local date, outcomes, count = ARGV[1], {}, 0

-- Why a letter is not put back; nil when it is.
local function obstacle(queue, id)
  if not redis.call('ZSCORE', 'rq:failed:' .. queue, id) then
    return 'gone'
  end
  local job = redis.call('HMGET', 'rq:job:' .. id, 'data', 'status', 'rate_limit_key')
  if not job[1] then
    return 'expired'
  end
  if job[2] and job[2] ~= 'failed' and job[2] ~= 'stopped' then
    return 'alive'  -- it is on its way again; RQ's own code removes what it forgot in the registry
  end
  return job[3] and job[3] ~= '' and 'limited' or nil  -- one of RQ's rate limits: `rq requeue` asks for a slot
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

-- An ordered letter takes its place again before any of its key asks for its turn: see turns.lua.
local function take_place(id, meta)
  local digest, place = string.match(meta, '"order": %["(%x+)", "([%d.]+)"')
  if digest then
    local group = string.sub(id, 34) .. ':' .. digest
    redis.call('ZADD', 'deskbell:order:' .. group, place, id)
    redis.call('SADD', 'deskbell:orders', group)
  end
end

for at = 2, #ARGV, 4 do
  local why_not = obstacle(ARGV[at], ARGV[at + 1])
  if not why_not then
    put_back(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
    take_place(ARGV[at + 1], ARGV[at + 2])
    count = count + 1
  end
  outcomes[#outcomes + 1] = why_not or 'replayed'
end
if count > 0 then
  redis.call('HINCRBY', KEYS[1], 'done', count)
end
return outcomes
