-- Replay a job under another type: the old job goes, and one of the new type is written as fan-out writes it, in the same
-- moment. What is no dead letter, and not left either, is not touched.
--
-- KEYS  the entry in the audit log
-- ARGV  now as RQ writes dates, the new type as `fan_out.lua` needs it, in a JSON list, the old job's queue and id, 1 to replay
--       also what other jobs wait for, 1 to do nothing, a dry run, then a fan-out of one job
-- Returns replayed; gone, alive or awaited, as for a replay or discard; or there: the event has a job of that type

local date, job_types, queue, id = ARGV[1], cjson.decode(ARGV[2]), ARGV[3], ARGV[4]
local also_awaited, is_dry, fan_out = ARGV[5] == '1', ARGV[6] == '1', read_fan_out(7)
local new = fan_out.jobs[1]
local left = 'deskbell:left:' .. queue .. ':' .. string.sub(id, 34)
local held_by = {['rq:failed:' .. queue] = {failed = true, stopped = true}}
if redis.call('ZSCORE', left, id) then
  held_by['rq:scheduled:' .. queue] = {scheduled = true}
end

local function obstacle()
  local found, status = 'gone', redis.call('HGET', 'rq:job:' .. id, 'status')
  for registry, statuses in pairs(held_by) do
    if redis.call('ZSCORE', registry, id) then
      found = not statuses[status] and 'alive' or nil
      break
    end
  end
  local is_there = redis.call('EXISTS', 'rq:job:' .. fan_out.event_id .. '-' .. job_types[new.number].slug) == 1
  local is_awaited = redis.call('EXISTS', 'rq:job:' .. id .. ':dependents') == 1
  return found or (is_there and 'there') or (is_awaited and not also_awaited and 'awaited') or nil
end

local why_not = obstacle()
if why_not or is_dry then
  return why_not or 'replayed'
end
for registry in pairs(held_by) do
  redis.call('ZREM', registry, id)
end
redis.call('ZREM', left, id)
delete(queue, id)
write_job(fan_out.event_id, job_types[new.number], new, fan_out.needs_position and position_of(fan_out), date)
write_collected()
redis.call('HINCRBY', KEYS[1], 'done', 1)
return 'replayed'
