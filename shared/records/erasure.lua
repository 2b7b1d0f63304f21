-- Blank records of a segment that cannot be changed in place: a stream was copied without them, and takes its place.
--
-- KEYS  the lock, the stream, the copy, the hash of the segments
-- ARGV  the lock's holder, the id of the last entry that was copied, the segment, the bytes that were blanked
-- Returns 1 when the copy is in its place; 0 when the stream has grown: there is more to be copied; -1 when the stream has
-- gone; -2 when the lock is another's.

local lock, stream, copy, segments = unpack(KEYS)
local holder, last, segment, bytes = unpack(ARGV)
local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local is_ours = redis.call('GET', lock) == holder
if not is_ours or not newest then
  redis.call('UNLINK', copy)
  return is_ours and -1 or -2
elseif newest[1] ~= last then
  return 0
end
redis.call('RENAME', copy, stream)  -- with the copy's time to live, which is the stream's
redis.call('HINCRBY', segments, segment, -bytes)
return 1
