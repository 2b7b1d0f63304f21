-- Make jobs out of one that RQ has written, and queue them.
--
-- KEYS  the queue's list
-- ARGV  the id of the job that is copied, how many, 24 hex digits that begin each id, the job type as ids end
local template = redis.call('HGETALL', 'rq:job:' .. ARGV[1])
for number = 1, tonumber(ARGV[2]) do
  local id = ARGV[3] .. string.format('%08x', number) .. '-' .. ARGV[4]
  redis.call('HSET', 'rq:job:' .. id, unpack(template))
  redis.call('RPUSH', KEYS[1], id)
end
