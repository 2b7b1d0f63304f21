-- The FIFO lock of a partition key: take it for a job, or say why not. A job that does not get it is scheduled a second
-- later, and its attempt does not count.
--
-- ARGV  the partition, the job's id and position, 1 when dead letters hold their key, the event's id and when it was
--       received in ms, the ms that a missing Seq and an event that is not fanned out are waited for, the digest of the
--       event's execution or '', its Seq
-- Returns 'go', or why not: 'busy', 'behind' or 'gap'; or the ids of earlier events that are not fanned out yet

local partition, me, position, holds, event = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5]
local received, gap_ms, fan_out_ms = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local execution, seq = ARGV[9], tonumber(ARGV[10])
local lock = 'deskbell:turn:' .. partition
local DAY_SECONDS, EVENTS_READ = 86400, 200
local time = redis.call('TIME')
local age = time[1] * 1000 + math.floor(time[2] / 1000) - received

-- Whether another job of the partition runs. A job that asks for the lock does not run, even if the lock is still its own.
local function is_busy()
  local holder = redis.call('GET', lock)
  if holder == me then
    redis.call('DEL', lock)
    return false
  end
  return holder and status_of(holder) == 'started'
end

-- Whether to wait for an event of the execution with a smaller Seq. Each gap is waited for once.
local function has_gap()
  local key = 'deskbell:execution:' .. execution
  local floor = tonumber(redis.call('GET', key .. ':floor') or '0') or 0
  if redis.call('ZCOUNT', key, floor + 1, seq - 1) >= seq - 1 - floor then
    return false
  end
  if age < gap_ms then
    return true
  end
  redis.call('SET', key .. ':floor', seq - 1, 'EX', DAY_SECONDS)
  return false
end

local function is_fanned_out(id)
  local is_json, meta = pcall(cjson.decode, redis.call('HGET', 'rq:job:' .. id, 'meta') or '{}')
  return is_json and type(meta) == 'table' and meta.fanned_out
end

-- The events before this one that are queued, under way or scheduled, and whose jobs are not made yet.
local function earlier_events()
  local found, seen = {}, {}
  local function add(members)
    for _, member in ipairs(members) do
      local id = string.match(member, '^%x+')
      if id and #id == 32 and id < event and not seen[id] then
        seen[id] = true
        if not is_fanned_out(id) then
          found[#found + 1] = id
        end
      end
    end
  end
  add(redis.call('LRANGE', 'rq:queue:events', 0, EVENTS_READ - 1))
  add(redis.call('LRANGE', 'rq:queue:events', -EVENTS_READ, -1))
  add(redis.call('LRANGE', 'rq:queue:events:intermediate', 0, EVENTS_READ - 1))
  add(redis.call('ZRANGE', 'rq:wip:events', 0, 1000))
  add(redis.call('ZRANGE', 'rq:scheduled:events', 0, 1000))
  return found
end

redis.call('ZADD', 'deskbell:order:' .. partition, position, me)
redis.call('SADD', 'deskbell:orders', partition)
if is_busy() then
  return 'busy'
elseif first_of(partition, holds) ~= me then
  return 'behind'
elseif execution ~= '' and has_gap() then
  return 'gap'
end
local earlier = age < fan_out_ms and earlier_events() or {}
if #earlier > 0 then
  return earlier
end
redis.call('SET', lock, me, 'EX', DAY_SECONDS)
return 'go'
