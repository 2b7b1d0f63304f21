-- What the scripts of ordered jobs share: who of a group is first, by RQ's own record of how each job stands.

local function status_of(id)
  return redis.call('HGET', 'rq:job:' .. id, 'status') or 'gone'
end

local ENDED = {finished = true, canceled = true, stopped = true, gone = true}

-- The first job of a group that has not ended; those before it leave the group. A dead letter has ended, unless it holds.
local function first_of(group, holds)
  local key = 'deskbell:order:' .. group
  while true do
    local id = redis.call('ZRANGE', key, 0, 0)[1]
    local status = id and status_of(id)
    if not id or not (ENDED[status] or (status == 'failed' and not holds)) then
      return id, status
    end
    redis.call('ZREM', key, id)
  end
end
