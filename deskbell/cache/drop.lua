-- Deletes a value.
--
-- KEYS: the cache's index, the entry, its claim, and the cache's sizes, as for put.lua.
-- ARGV: the entry's digest.
-- Returns 1 when there was one.

local index, entry, claim, sizes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local bytes = redis.call("HGET", sizes, ARGV[1])
if bytes then
    redis.call("HDEL", sizes, ARGV[1])
    redis.call("HINCRBY", sizes, "total", "-" .. bytes)
end
redis.call("ZREM", index, ARGV[1])
redis.call("DEL", claim)
return redis.call("DEL", entry)
