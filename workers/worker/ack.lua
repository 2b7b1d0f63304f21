-- Acknowledge jobs that have succeeded: write what RQ writes, for each whose lease is still ours. What an event's own job
-- does is done here: it becomes one job for each job type that wants it. success.lua stands in front.
--
-- ARGV  now as RQ writes dates, the worker's name, the job types of the fan-outs as JSON, [{slug, queue, holds, fields}, …];
--       then for each job: its id, execution, queue, when it was claimed, in seconds of the server's clock, and its
--       fan-out, as `read_fan_out` has it
-- Returns {executions that were not ours any more, executions whose outcome is to be written by RQ's own code,
--          job types whose pauses have ended, each followed by its queue, executions that were fanned out before}
--
-- A lease that its worker did not renew in time has been reaped, and the job may be running elsewhere: nothing is written
-- for it. A job that others wait for is left to RQ's own code, which queues them; so is one that is kept for ever.

local job_types = cjson.decode(ARGV[3])
local lost, left, fanned_out_before = {}, {}, {}
local successes, seconds_worked = 0, 0

local function ack(id, execution, queue, claimed_at, fan_out)
  local job_type = type_of(id, queue)
  if not is_held(id, execution, queue) then
    lost[#lost + 1] = execution
    return
  end
  local key = 'rq:job:' .. id
  local job = redis.call('HMGET', key, 'data', 'result_ttl', 'status', 'meta')
  local is_there, ttl = job[1], result_ttl(job[2])
  if fan_out and is_there and not fan_out_once(key, job[4], fan_out, job_types, date) then
    fanned_out_before[#fanned_out_before + 1] = execution
  end
  local others = redis.call('EXISTS', key .. ':dependents', 'rq:job::' .. id .. ':dependencies')
  if is_there and (ttl < 0 or (others > 0 and redis.call('EXISTS', key .. ':dependents') == 1)) then
    record_answer(job_type, id)
    free_slot(job_type, id)  -- and not the lock of its key: the next job of the key must wait until this one's end is written
    left[#left + 1] = execution
    return
  end
  record_success(job_type, id)  -- while the job is there to say of which key it is
  free_slot_and_lock(job_type, id)
  if is_there and ttl == 0 then
    forget(id)
  elseif is_there then
    finish(id, execution, queue, claimed_at, ttl, job[3], others > 0)
  end
  end_lease(id, execution, queue, worker)
  successes, seconds_worked = successes + 1, seconds_worked + now - tonumber(claimed_at)
end

local function ack_all()
  local at = 4
  while at <= #ARGV do
    local id, execution, queue, claimed_at = unpack(ARGV, at, at + 3)
    local fan_out, behind = read_fan_out(at + 4)
    ack(id, execution, queue, claimed_at, fan_out)
    at = behind
  end
end

local is_done, problem = pcall(ack_all)
write_collected()  -- also when one has failed: the others are done
if not is_done then
  error(problem)
end
if successes > 0 and redis.call('EXISTS', 'rq:worker:' .. worker) == 1 then
  redis.call('HINCRBY', 'rq:worker:' .. worker, 'successful_job_count', successes)
  redis.call('HINCRBYFLOAT', 'rq:worker:' .. worker, 'total_working_time', string.format('%.6f', seconds_worked))
end
return {lost, left, resumed, fanned_out_before}
