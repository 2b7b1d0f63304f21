-- Delete dead letters with all that RQ keeps of them: what rq.job.Job.delete deletes. One that is in the
-- FailedJobRegistry no more is left alone; so is, unless told otherwise, one that other jobs wait for.
--
-- KEYS  the record of this discard
-- ARGV  1 to delete also what other jobs wait for, then for each letter: queue, id
-- Returns what became of each: discarded, gone, alive or awaited

local also_awaited, outcomes, count = ARGV[1] == '1', {}, 0

local function obstacle(queue, id)
  if not redis.call('ZSCORE', 'rq:failed:' .. queue, id) then
    return 'gone'
  end
  local status = redis.call('HGET', 'rq:job:' .. id, 'status')
  if status and status ~= 'failed' and status ~= 'stopped' then
    return 'alive'
  end
  local is_awaited = redis.call('EXISTS', 'rq:job:' .. id .. ':dependents') == 1
  return is_awaited and not also_awaited and 'awaited' or nil
end

for at = 2, #ARGV, 2 do
  local queue, id = ARGV[at], ARGV[at + 1]
  local why_not = obstacle(queue, id)
  if not why_not then
    local key = 'rq:job:' .. id
    redis.call('ZREM', 'rq:failed:' .. queue, id)
    redis.call('DEL', key, key .. ':dependents', 'rq:job::' .. id .. ':dependencies')  -- RQ writes two colons
    redis.call('DEL', 'rq:results:' .. id, 'rq:executions:' .. id)
    count = count + 1
  end
  outcomes[#outcomes + 1] = why_not or 'discarded'
end
if count > 0 then
  redis.call('HINCRBY', KEYS[1], 'done', count)
end
return outcomes
