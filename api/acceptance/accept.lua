-- Accepts a batch of events: for each, remembers its answer, writes its RQ job, queues it and puts it on record, or, when
-- the delivery was accepted before, returns what was remembered then. Redis runs a script as a whole: at no moment is an
-- answer remembered whose job is not there.
--
-- Idempotent producer: the mark holds the last sequence number of a producer. What the spool sends again is recognised
-- by it, however long ago the answer was forgotten. A mark that says "closed" fences the producer off: its last call
-- was in doubt, and the events in it were kept elsewhere.
--
-- KEYS  the queue, RQ's set of queues, the mark; then for each event its reply key and its job key
-- ARGV  the time, the call's number, seconds an answer is remembered, seconds the mark lives, bytes of all records,
--       milliseconds they are kept, n, then n fields and values that all jobs share; then for each event: its number, id,
--       answer, data, description, record, and the digests that the record is found by
-- Returns, for each event, false when it was accepted, else the id and answer remembered; then the number that the mark
-- held before, -1 when there was none: where the producer knows a higher one, Redis has lost writes; and last false, or
-- why the records were not written.
--
-- record.lua stands in front.

local queue, queues, mark = KEYS[1], KEYS[2], KEYS[3]
local now, call_number, remember, mark_seconds, record_bytes, record_ms = unpack(ARGV, 1, 6)
local shared = tonumber(ARGV[7])
local template = {unpack(ARGV, 8, 7 + shared)}
local per_event, count = 7, (#KEYS - 3) / 2
local results, records = {}, {}

local last = redis.call('GET', mark)
if last == 'closed' then
  return redis.error_reply('CLOSED these events were given up, and are kept elsewhere')
end
last = tonumber(last or -1)

redis.call('SADD', queues, queue)
for n = 1, count do
  local reply_key, job_key = KEYS[2 * n + 2], KEYS[2 * n + 3]
  local at = 7 + shared + (n - 1) * per_event
  local number, id, answer, data = tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local before = redis.call('GET', reply_key)
  if before then
    results[n] = before
    records[#records + 1] = string.sub(before, 1, 32) ~= id and repeated(before) or nil  -- else the spool sends it again
  elseif number <= last then
    results[n] = false
  else
    -- The description, which rq-dashboard and `rq info` show: the command and the node, never a value.
    local description = ARGV[at + 5]
    local fields = {'created_at', now, 'enqueued_at', now, 'data', data, 'description', description, unpack(template)}
    redis.call('HSET', job_key, unpack(fields))
    redis.call('RPUSH', queue, id)
    -- Redis does not undo what a failed script has written. So the answer is remembered only once its job is queued.
    redis.call('SET', reply_key, id .. answer, 'EX', remember)
    records[#records + 1] = {ARGV[at + 6], ARGV[at + 7]}
    results[n] = false
  end
end
-- No answer depends on the records: they may fail.
local are_written, problem = pcall(write_records, records, tonumber(record_bytes), tonumber(record_ms))
-- The mark never falls: a spool file restored from a copy sends lower numbers again. It is written even so, because WAIT
-- waits for the writes of its own connection alone: a script that wrote nothing would pass for one that is replicated.
redis.call('SET', mark, string.format('%d', math.max(tonumber(call_number), last)), 'EX', mark_seconds)
results[count + 1] = last
results[count + 2] = not are_written and (type(problem) == 'table' and problem.err or tostring(problem))
return results
