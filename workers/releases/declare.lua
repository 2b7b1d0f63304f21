-- Say what a worker has, and learn what others have and which jobs are left for it.
--
-- ARGV  the worker's name, the seconds without a sign of life after which a worker is not counted, the seconds for which
--       Redis remembers what nobody has any more, what this worker has as a JSON list, then its queues
-- Returns {{what others that read one of its queues have, and this one has not, …}, {jobs of its queues that are left
--          because workers lacked something that this one has: '<queue>:<need>', …}, 1 when a newer worker reads events}

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local worker, silent, remembered, mine = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), cjson.decode(ARGV[4])
local RETURNED = 3600  -- what nobody had for so long is introduced anew
local has, queues, others, left, scored = {}, {}, {}, {}, {}
for n, each in ipairs(mine) do
  has[each], scored[2 * n - 1], scored[2 * n] = true, now, each
end

-- When the newest of what this worker has was introduced, in ms.
local function introduce(key)
  local newest = 0
  local declared_at = #mine > 0 and redis.call('ZMSCORE', key, unpack(mine))
  local introduced_at = #mine > 0 and redis.call('HMGET', 'deskbell:introduced', unpack(mine))
  for n, each in ipairs(mine) do
    local declared, at = declared_at[n], introduced_at[n]
    if not at or not declared or now - declared > RETURNED then
      at = string.format('%d', now * 1000)
      redis.call('HSET', 'deskbell:introduced', each, at)
    end
    newest = math.max(newest, tonumber(at))
  end
  return newest
end

-- Whether another worker that reads events is of a newer release: what it has was introduced later, or it has more.
local function is_outdated(newest)
  redis.call('ZREMRANGEBYSCORE', 'deskbell:fan_out', '-inf', now - RETURNED)
  local rank, found = string.format('%013d %06d', newest, #mine), false
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', 'deskbell:fan_out', now - silent, '+inf')) do
    local its_rank, name = string.match(other, '^(%d+ %d+) (.*)$')
    if name == worker then
      redis.call('ZREM', 'deskbell:fan_out', other)
    elseif its_rank > rank then
      found = true
    end
  end
  redis.call('ZADD', 'deskbell:fan_out', now, rank .. ' ' .. worker)
  return found
end

local function declare(queue)
  local key = 'deskbell:declared:' .. queue
  local outdated = queue == 'events' and is_outdated(introduce(key))
  if #mine > 0 then
    redis.call('ZADD', key, unpack(scored))
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - remembered)
  redis.call('EXPIRE', key, remembered)
  for _, each in ipairs(redis.call('ZRANGEBYSCORE', key, now - silent, '+inf')) do
    if not has[each] then
      has[each] = 'told'
      others[#others + 1] = each
    end
  end
  return outdated
end

local is_behind = false
for at = 5, #ARGV do
  queues[ARGV[at]] = true
  is_behind = declare(ARGV[at]) or is_behind
end
for _, each in ipairs(redis.call('SMEMBERS', 'deskbell:left')) do
  local queue, need = string.match(each, '^([^:]*):(.*)$')
  if queues[queue] and has[need] == true then
    left[#left + 1] = each
  end
end
return {others, left, is_behind and 1 or 0}
