-- Fan-out: writes the jobs of an event, as RQ writes jobs, and marks the event, all of it once.
--
-- What is written of a job are the fields that RQ itself made for its type, with its data, times and order stamped on.

-- Read a fan-out from ARGV: how many jobs the event becomes, or '' when nothing is to be fanned out; then the event's id,
-- the digest of its execution or '', its Seq, the ms of its receipt; then for each job the number of its type among
-- `job_types`, the digest of its partition key or '', and its data. Returns it, and the place behind it.
local function read_fan_out(at)
  local count = tonumber(ARGV[at])
  if not count then
    return nil, at + 1
  end
  local event_id, execution, seq, ms = unpack(ARGV, at + 1, at + 4)
  local fan_out = {event_id = event_id, execution = execution, seq = tonumber(seq), ms = tonumber(ms), jobs = {}}
  fan_out.needs_position = execution ~= ''
  at = at + 5
  for n = 1, count do
    fan_out.jobs[n] = {number = tonumber(ARGV[at]), digest = ARGV[at + 1], data = ARGV[at + 2]}
    fan_out.needs_position = fan_out.needs_position or ARGV[at + 1] ~= ''
    at = at + 3
  end
  return fan_out, at
end

local function write_job(event_id, job_type, job, position, date)
  local id, list = event_id .. '-' .. job_type.slug, 'rq:queue:' .. job_type.queue
  local fields = {'created_at', date, 'data', job.data, unpack(job_type.fields)}
  local at, predecessor = #fields, nil
  if job.digest ~= '' then
    predecessor = place(id, job_type.slug .. ':' .. job.digest, position, job_type.holds)
    fields[at + 1], fields[at + 2] = 'meta', '{"order": ["' .. job.digest .. '", "' .. position .. '"]}'
    at = at + 2
  end
  if predecessor then
    defer(id, job_type, fields, predecessor)
  else
    fields[at + 1], fields[at + 2] = 'enqueued_at', date
    redis.call('HSET', 'rq:job:' .. id, unpack(fields))
    collect('RPUSH', list, id)
  end
  if not job_type.is_listed then
    collect('SADD', 'rq:queues', list)
    job_type.is_listed = true
  end
end

-- Fan an event out, unless the `meta` of its own job says that this was done. Returns whether it was done now.
local function fan_out_once(key, meta, fan_out, job_types, date)
  local read = read_table(meta)
  if read.fanned_out then
    return false
  end
  local position = fan_out.needs_position and position_of(fan_out)
  for _, job in ipairs(fan_out.jobs) do
    write_job(fan_out.event_id, job_types[job.number], job, position, date)
  end
  read.fanned_out = true
  redis.call('HSET', key, 'meta', cjson.encode(read))
  return true
end
