-- Keeps a value, and drops what is too old or too much.
--
-- KEYS: the cache's index (a sorted set: digests by the ms at which they were written), the entry's digest appended to
-- it, its claim, and the cache's sizes (a hash: bytes by digest, and their sum, `total`).
-- ARGV: the digest, the entry, now in ms, ms to live, the most entries, the most bytes.
-- Returns 1.

local MOST_DROPPED = 50  -- in one call, so that Redis is not held up; the next call drops more

local index, entry, claim, sizes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local digest, text, now_ms, ttl_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local most_entries, most_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])

local function forget_size(of)
    local bytes = redis.call("HGET", sizes, of)
    if bytes then
        redis.call("HDEL", sizes, of)
        redis.call("HINCRBY", sizes, "total", "-" .. bytes)
    end
end

local function drop(of)
    redis.call("DEL", index .. ":" .. of)
    redis.call("ZREM", index, of)
    forget_size(of)
end

local function is_full()
    return redis.call("ZCARD", index) > most_entries or tonumber(redis.call("HGET", sizes, "total")) > most_bytes
end

local expired = redis.call("ZRANGE", index, "-inf", now_ms - ttl_ms, "BYSCORE", "LIMIT", 0, MOST_DROPPED)
for _, each in ipairs(expired) do
    drop(each)
end

forget_size(digest)
redis.call("SET", entry, text, "PX", ttl_ms)
redis.call("ZADD", index, now_ms, digest)
redis.call("HSET", sizes, digest, #text)
redis.call("HINCRBY", sizes, "total", #text)
for _, oldest in ipairs(redis.call("ZRANGE", index, 0, MOST_DROPPED)) do
    if not is_full() then
        break
    end
    drop(oldest)
end
redis.call("PEXPIRE", index, ttl_ms)
redis.call("PEXPIRE", sizes, ttl_ms)
redis.call("DEL", claim)
return 1
