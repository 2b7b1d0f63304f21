-- Accepts a batch of events: for each, remembers its answer, writes its RQ job, queues it and logs it, or, when the
-- delivery was accepted before, returns what was remembered then. Redis runs a script as a whole: at no moment is an
-- answer remembered whose job is not there.
--
-- Idempotent producer: the mark holds the last sequence number of a producer. What the spool sends again is recognised
-- by it, however long ago the answer was forgotten. A mark that says "closed" fences the producer off: its last call
-- was in doubt, and the events in it were kept elsewhere.
--
-- KEYS  the queue, RQ's set of queues, the event log, the mark; then for each event its reply key and its job key
-- ARGV  the time, the call's number, seconds an answer is remembered, size of the log, seconds the mark lives, n, then n
--       fields and values that all jobs share; then for each event: its number, id, answer, data, app, command, node,
--       outcome
-- Returns, for each event, false when it was accepted, else the id and answer remembered; and last the number that the
-- mark held before, -1 when there was none: where the producer knows a higher one, Redis has lost writes.

local queue, queues, log, mark = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, call_number, remember, log_size, mark_seconds = unpack(ARGV, 1, 5)
local shared = tonumber(ARGV[6])
local template = {unpack(ARGV, 7, 6 + shared)}
local per_event = 8
local results = {}

local last = redis.call('GET', mark)
if last == 'closed' then
  return redis.error_reply('CLOSED these events were given up, and are kept elsewhere')
end
last = tonumber(last or -1)

redis.call('SADD', queues, queue)
for n = 1, (#KEYS - 4) / 2 do
  local reply_key, job_key = KEYS[2 * n + 3], KEYS[2 * n + 4]
  local at = 6 + shared + (n - 1) * per_event
  local number, id, answer, data = tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local app, command, node, outcome = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], ARGV[at + 8]
  local before = redis.call('GET', reply_key)
  if before then
    results[n] = before
  elseif number <= last then
    results[n] = false
  else
    -- The description, which rq-dashboard and `rq info` show: the command and the node, never a value.
    local description = node == '' and command or command .. ' ' .. node
    local fields = {'created_at', now, 'enqueued_at', now, 'data', data, 'description', description, unpack(template)}
    redis.call('HSET', job_key, unpack(fields))
    redis.call('RPUSH', queue, id)
    -- Redis does not undo what a failed script has written. So the answer is remembered only once its job is queued;
    -- and the log, which no answer depends on, may fail.
    redis.call('SET', reply_key, id .. answer, 'EX', remember)
    redis.pcall('XADD', log, 'MAXLEN', '~', log_size, '*', 'id', id, 'app', app, 'command', command, 'node', node,
      'outcome', outcome)
    results[n] = false
  end
end
-- The mark never falls: a spool file restored from a copy sends lower numbers again. It is written even so, because WAIT
-- waits for the writes of its own connection alone: a script that wrote nothing would pass for one that is replicated.
redis.call('SET', mark, string.format('%d', math.max(tonumber(call_number), last)), 'EX', mark_seconds)
results[#KEYS / 2 - 1] = last -- behind the results of the events, which have two keys each after the first four
return results
