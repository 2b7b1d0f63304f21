-- Release leases: put jobs back at the head of their queues as if they had not been claimed; the attempt does not count.
--
-- ARGV  the worker's name, 1 when the jobs had begun, so that their starts count, then for each job, the last claimed
--       first: its id, execution, queue, and 1 when its attempt was counted at the claim
-- Returns how many were put back; the others were not ours any more.

local worker, have_begun, count = ARGV[1], ARGV[2] == '1', 0

local function put_back(id, execution, queue, is_counted)
  if not is_held(id, execution, queue) then
    return
  end
  local key, job_type = 'rq:job:' .. id, type_of(id, queue)
  local job = redis.call('HMGET', key, 'data', 'meta')
  if job[1] then  -- else it has expired meanwhile
    push_first(queue, id)
    if is_counted then
      redis.call('HSET', key, 'meta', without_attempt(job[2]))
    end
    redis.call('HSET', key, 'status', 'queued')
    count = count + 1
  end
  end_lease(id, execution, queue, worker)
  write_collected()
  if not have_begun then
    uncount_start(job_type, id)
  end
  free_slot_and_lock(job_type, id)
end

for at = 3, #ARGV, 4 do
  put_back(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1')
end
return count
