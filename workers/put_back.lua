-- Put claimed jobs back at the head of their queues, as if they had not been claimed: the attempt does not count.
--
-- ARGV  the worker's name, then for each job, the last claimed first: its id, execution, queue, and 1 when its attempt
--       was counted at the claim
-- Returns how many were put back; the others were not ours any more.

local worker, count = ARGV[1], 0
for at = 2, #ARGV, 4 do
  local id, execution, queue, counted = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local key = 'rq:job:' .. id
  if strike_off(id, execution, queue, worker) then
    local job = redis.pcall('HMGET', key, 'data', 'meta')
    if not job.err and job[1] then  -- else it has expired meanwhile
      if counted == '1' then
        redis.call('HSET', key, 'meta', without_attempt(job[2]))
      end
      redis.call('HSET', key, 'status', 'queued')
      redis.call('LPUSH', 'rq:queue:' .. queue, id)
      count = count + 1
    end
    release(queue ~= 'events' and string.sub(id, 34) or '', id)
  end
end
return count
