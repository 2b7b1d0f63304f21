-- Whether an ordered job may start now. A job that may not is scheduled a second later, its attempt not counted.
--
-- ARGV  the group, the job's id and place, 1 when dead letters hold their key, the event's id and when it was received
--       in ms, the ms that a missing Seq and an event that is not fanned out are waited for, the execution's digest or
--       '', its Seq
-- Returns 'go', or why not: 'busy', 'behind' or 'gap'; or the ids of earlier events that are not fanned out yet

local group, me, place, holds, event = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5]
local received, gap_ms, fan_out_ms = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local execution, seq = ARGV[9], tonumber(ARGV[10])
local turn = 'deskbell:turn:' .. group
local DAY_SECONDS, EVENTS_LOOKED_AT = 86400, 200
local time = redis.call('TIME')
local age = time[1] * 1000 + math.floor(time[2] / 1000) - received

-- Whether another job of the group runs. One that asks does not run, whatever an earlier attempt has left behind.
local function is_busy()
  local holder = redis.call('GET', turn)
  if holder == me then
    redis.call('DEL', turn)
    return false
  end
  return holder and status_of(holder) == 'started'
end

-- Whether an event of the execution with a smaller Seq is still to be waited for. One gap is waited for once.
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

local function earlier_events()
  local found, seen = {}, {}
  local function look(members)
    for _, member in ipairs(members) do
      local id = string.match(member, '^%x+')
      if id and #id == 32 and id < event and not seen[id] then
        seen[id] = true
        local meta = redis.call('HGET', 'rq:job:' .. id, 'meta')
        if not meta or not string.find(meta, '"fanned_out": true', 1, true) then
          found[#found + 1] = id
        end
      end
    end
  end
  look(redis.call('LRANGE', 'rq:queue:events', 0, EVENTS_LOOKED_AT - 1))
  look(redis.call('LRANGE', 'rq:queue:events', -EVENTS_LOOKED_AT, -1))
  look(redis.call('LRANGE', 'rq:queue:events:intermediate', 0, EVENTS_LOOKED_AT - 1))
  look(redis.call('ZRANGE', 'rq:wip:events', 0, 1000))
  look(redis.call('ZRANGE', 'rq:scheduled:events', 0, 1000))
  return found
end

redis.call('ZADD', 'deskbell:order:' .. group, place, me)
redis.call('SADD', 'deskbell:orders', group)
if is_busy() then
  return 'busy'
elseif first_of(group, holds) ~= me then
  return 'behind'
elseif execution ~= '' and has_gap() then
  return 'gap'
end
local earlier = age < fan_out_ms and earlier_events() or {}
if #earlier > 0 then
  return earlier
end
redis.call('SET', turn, me, 'EX', DAY_SECONDS)
return 'go'
