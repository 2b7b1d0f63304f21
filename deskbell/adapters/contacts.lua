-- The record of one contact: the newest event written, and the lease of the write under way.
--
-- KEYS  the record, a hash: newest, the last event whose write was begun and not refused; before, what newest was then;
--       holder, the write under way; until, the ms at which its lease ends
-- ARGV  what to do, the write's id, then to begin: the event's id, seconds of a lease, seconds for which a record is kept
-- Returns for begin: go, older, busy or forgotten; for end and withdraw: done, or lost when the lease had ended and
--         another write has begun

local record, what, me = KEYS[1], ARGV[1], ARGV[2]
local time = redis.call('TIME')  -- not the workers' clocks: a lease must mean the same to all
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', record, 'newest', 'before', 'holder', 'until')
local newest, before, holder = held[1], held[2], held[3]

local function begin(event, lease_seconds, kept_seconds)
  local is_held = holder and now_ms < tonumber(held[4])
  local settled = newest
  if is_held then
    settled = before
  end
  if settled and event < settled then
    return 'older'
  elseif is_held then
    return 'busy'
  elseif not newest and now_ms - tonumber(string.sub(event, 1, 12), 16) > kept_seconds * 1000 then
    return 'forgotten'
  end
  redis.call('DEL', record)
  redis.call('HSET', record, 'newest', event, 'holder', me, 'until', now_ms + lease_seconds * 1000)
  if newest then
    redis.call('HSET', record, 'before', newest)
  end
  redis.call('EXPIRE', record, kept_seconds + 86400)
  return 'go'
end

if what == 'begin' then
  return begin(ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]))
elseif holder ~= me then
  return 'lost'
elseif what == 'end' then
  redis.call('HDEL', record, 'holder', 'until', 'before')
elseif before then
  redis.call('HSET', record, 'newest', before)
  redis.call('HDEL', record, 'holder', 'until', 'before')
else
  redis.call('DEL', record)
end
return 'done'
