-- Make events out of one that the api has accepted, each with an id of its own, and queue them.
--
-- KEYS  the queue's list
-- ARGV  the id of the event that is copied, its job's data uncompressed, how many, 20 hex digits that begin each id
local job = redis.call('HGETALL', 'rq:job:' .. ARGV[1])
local data
for at = 1, #job, 2 do
  if job[at] == 'data' then data = at + 1 end
end
for number = 1, tonumber(ARGV[3]) do
  local id = ARGV[4] .. string.format('%012x', number)
  job[data] = string.gsub(ARGV[2], ARGV[1], id)
  redis.call('HSET', 'rq:job:' .. id, unpack(job))
  redis.call('RPUSH', KEYS[1], id)
end
