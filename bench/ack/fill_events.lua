-- Make events out of the last one that the api has queued: its job and an answer remembered for it, under new names.
--
-- KEYS  the queue's list, the prefix of the answers' keys
-- ARGV  how many, a number that no copy has had yet
local last = redis.call('LINDEX', KEYS[1], -1)
local job = redis.call('HGETALL', 'rq:job:' .. last)
local _, some = unpack(redis.call('SCAN', 0, 'MATCH', KEYS[2] .. '*', 'COUNT', 100000))
local answer = redis.call('GET', some[1])
for number = 1, tonumber(ARGV[1]) do
  local name = string.format('%032x', tonumber(ARGV[2]) + number)
  redis.call('HSET', 'rq:job:' .. name, unpack(job))
  redis.call('RPUSH', KEYS[1], name)
  redis.call('SET', KEYS[2] .. name, answer, 'EX', 3600)
end
