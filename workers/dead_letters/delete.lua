-- What rq.job.Job.delete deletes.
local function delete(queue, id)
  local key = 'rq:job:' .. id
  redis.call('ZREM', 'rq:failed:' .. queue, id)
  redis.call('DEL', key, key .. ':dependents', 'rq:job::' .. id .. ':dependencies')  -- RQ writes two colons
  redis.call('DEL', 'rq:results:' .. id, 'rq:executions:' .. id)
end
