-- Remove jobs that do not run: what rq.job.Job.delete deletes, each in one step, so that no worker takes one half-way.
-- `delete.lua` of the dead letters stands in front.
--
-- KEYS  the entry in the audit log, if this is to be counted there
-- ARGV  1 to remove also what other jobs wait for; then for each job: its queue and its id
-- Returns for each what became of it: gone, under_way or awaited; of one that is removed, the status that it had

local also_awaited = ARGV[1] == '1'
local outcomes, count = {}, 0

local function obstacle(id, status)
  if not status then
    return 'gone'
  elseif status == 'started' or redis.call('ZCARD', 'rq:executions:' .. id) > 0 then
    return 'under_way'
  end
  local is_awaited = redis.call('EXISTS', 'rq:job:' .. id .. ':dependents') == 1
  return is_awaited and not also_awaited and 'awaited' or nil
end

-- An ordered job leaves its partition key; the last one takes the key's lock with it.
local function leave_partition(id)
  local is_json, meta = pcall(cjson.decode, redis.call('HGET', 'rq:job:' .. id, 'meta') or '{}')
  local order = is_json and type(meta) == 'table' and meta.order
  if type(order) ~= 'table' then
    return
  end
  local partition = string.sub(id, 34) .. ':' .. tostring(order[1])
  redis.call('ZREM', 'deskbell:order:' .. partition, id)
  if redis.call('EXISTS', 'deskbell:order:' .. partition) == 0 then
    redis.call('SREM', 'deskbell:orders', partition)
    redis.call('DEL', 'deskbell:turn:' .. partition)
  end
end

local function remove(queue, id)
  leave_partition(id)
  redis.call('LREM', 'rq:queue:' .. queue, 1, id)
  for _, registry in ipairs({'scheduled', 'deferred', 'ready', 'finished', 'canceled'}) do
    redis.call('ZREM', 'rq:' .. registry .. ':' .. queue, id)
  end
  for _, other in ipairs(redis.call('SMEMBERS', 'rq:job::' .. id .. ':dependencies')) do
    redis.call('SREM', 'rq:job:' .. other .. ':dependents', id)
  end
  delete(queue, id)
end

for at = 2, #ARGV, 2 do
  local queue, id = ARGV[at], ARGV[at + 1]
  local status = redis.call('HGET', 'rq:job:' .. id, 'status')
  local outcome = obstacle(id, status)
  if not outcome then
    outcome, count = status, count + 1
    remove(queue, id)
  end
  outcomes[#outcomes + 1] = outcome
end
if count > 0 and KEYS[1] then
  redis.call('HINCRBY', KEYS[1], 'done', count)
end
return outcomes
