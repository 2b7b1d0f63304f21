-- Records: writes what is known of callbacks and jobs into the open segment, and where each is found into its index.
--
-- A segment is a stream, `deskbell:calls:<segment>`, and 16 strings, `deskbell:calls:<segment>:<bucket>`. What a script
-- writes is one entry of the stream, with a field for each record, and at most one APPEND to each string: commands are what
-- this costs. A string has entries of 16 bytes: the digest that is looked for, and the record's place: six bytes of the
-- stream's milliseconds, one of its number, and one that counts the fields. `deskbell:calls` has the bytes of each segment,
-- by the milliseconds at which it began, and which one is open. A segment as a whole expires, or makes room for a new one.

local CALLS, SEGMENTS, BUCKETS, MOST_FIELDS = 'deskbell:calls', 16, 16, 128
local RECORD_BYTES, ENTRY_BYTES = 12, 22  -- what a record takes beside its text, and what an entry of the index does
local LARGEST_NUMBER = 200  -- of an entry; a byte has room for those of the same script

local function drop_segment(segment)
  local keys = {CALLS .. ':' .. segment}
  for bucket = 0, BUCKETS - 1 do
    keys[bucket + 2] = keys[1] .. ':' .. bucket
  end
  redis.call('UNLINK', unpack(keys))
  redis.call('HDEL', CALLS, segment)
end

-- Begin a segment; the oldest ones go, until there is room for it.
local function begin_segment(now_ms, most_bytes, kept_ms, last)
  local bytes, begun, sum = {}, {}, 0
  local found = redis.call('HGETALL', CALLS)
  for at = 1, #found, 2 do
    local segment = tonumber(found[at])
    if segment then
      begun[#begun + 1], bytes[segment] = segment, tonumber(found[at + 1])
      sum = sum + bytes[segment]
    end
  end
  table.sort(begun)
  for _, segment in ipairs(begun) do
    if sum > most_bytes * (SEGMENTS - 1) / SEGMENTS or segment + kept_ms <= now_ms then
      drop_segment(string.format('%d', segment))
      sum = sum - bytes[segment]
    end
  end
  local segment = string.format('%d', math.max(now_ms, (last or 0) + 1))
  redis.call('HSET', CALLS, 'open', segment, segment, 0)
  return segment
end

-- Write one entry of the stream; gives the bytes that its records, from one place among all to another, take, and its
-- number.
local function write_entry(records, first, last, segment, ends)
  local stream, fields, entries, bytes = CALLS .. ':' .. segment, {}, {}, 0
  for n = first, last do
    fields[#fields + 1], fields[#fields + 2] = n - first, records[n][1]
  end
  local ms, number = string.match(redis.call('XADD', stream, '*', unpack(fields)), '^(%d+)-(%d+)$')
  for n = first, last do
    local text, digests = unpack(records[n])
    local place = struct.pack('>I6BB', ms, number, n - first)
    for at = 1, #digests, 8 do
      local bucket = string.byte(digests, at) % BUCKETS
      local written = entries[bucket] or {}
      written[#written + 1] = string.sub(digests, at, at + 7) .. place
      entries[bucket] = written
    end
    bytes = bytes + #text + RECORD_BYTES + #digests / 8 * ENTRY_BYTES
  end
  for bucket, written in pairs(entries) do
    local appended = table.concat(written)
    if redis.call('APPEND', stream .. ':' .. bucket, appended) == #appended then
      redis.call('PEXPIREAT', stream .. ':' .. bucket, ends)
    end
  end
  return bytes, tonumber(number)
end

-- Write records: each is its text and the digests, of eight bytes, by which it is found. All of them may take so many
-- bytes, and are kept for so many milliseconds.
local function write_records(records, most_bytes, kept_ms)
  if #records == 0 then
    return
  end
  local time = redis.call('TIME')
  local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  local segment = redis.call('HGET', CALLS, 'open')
  local bytes = segment and tonumber(redis.call('HGET', CALLS, segment) or most_bytes)
  if not segment or bytes >= most_bytes / SEGMENTS or segment + kept_ms / SEGMENTS <= now_ms then
    segment, bytes = begin_segment(now_ms, most_bytes, kept_ms, segment), 0
  end
  local ends, written, number = string.format('%d', segment + kept_ms), 0, 0
  for first = 1, #records, MOST_FIELDS do
    local last, taken = math.min(first + MOST_FIELDS - 1, #records), 0
    taken, number = write_entry(records, first, last, segment, ends)
    written = written + taken
  end
  if bytes == 0 then
    redis.call('PEXPIREAT', CALLS .. ':' .. segment, ends)
  end
  redis.call('HINCRBY', CALLS, segment, written)
  if number > LARGEST_NUMBER then  -- the clock was set back: a stream counts on within its latest millisecond
    begin_segment(now_ms, most_bytes, kept_ms, segment)
  end
end

-- The record of a delivery that came again: what was remembered of it begins with the event's id, and its last sixteen
-- digits are what an event is found by.
local function repeated(before)
  local id = string.sub(before, 1, 32)
  local digest = string.gsub(string.sub(id, 17), '..', function(digits) return string.char(tonumber(digits, 16)) end)
  return {'["d","' .. id .. '"]', digest}
end
