-- What the scripts of ordered jobs have in common: which job of a partition key is the first that has not ended, by RQ's
-- own record of each job's status.

local ENDED = {finished = true, canceled = true, stopped = true, gone = true}

local function status_of(id)
  return redis.call('HGET', 'rq:job:' .. id, 'status') or 'gone'
end

-- Whether a job of this status has ended; a dead letter has, unless it holds its key.
local function has_ended(status, holds)
  return ENDED[status] or (status == 'failed' and not holds)
end

-- The first job of a partition that has not ended; those before it are removed.
local function first_of(partition, holds)
  local key = 'deskbell:order:' .. partition
  while true do
    local id = redis.call('ZRANGE', key, 0, 0)[1]
    local status = id and status_of(id)
    if not id or not has_ended(status, holds) then
      return id, status
    end
    redis.call('ZREM', key, id)
  end
end
