-- Accept a batch of events: for each, remember its answer, write its RQ job, queue it and log it, or, when the
-- delivery was accepted before, hand back what was remembered then. Redis runs a script as a whole: there is no
-- moment at which an answer is remembered and its job is not there.
--
-- The mark remembers the last number that its sender has sent. What the spool sends again is known by it, however long
-- ago the answer was forgotten. A mark that says "closed" refuses a call whose events were kept elsewhere meanwhile.
--
-- KEYS  the queue, RQ's set of queues, the event log, the mark; then for each event its reply key and its job key
-- ARGV  seconds an answer is remembered, size of the log, the time, the mark's number, the seconds it lives, n, then n
--       fields and values that all jobs share; then for each event: its number, id, answer, data, app, command, node,
--       outcome
-- Returns, for each event, false when it was accepted, else the id and answer remembered; and in the end the last number
-- that the sender had sent before, -1 when there is none: less than it knows of tells that Redis has lost something.

local queue, queues, log, mark = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local remember, log_size, now = ARGV[1], ARGV[2], ARGV[3]
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
    -- What rq-dashboard and `rq info` show of an event: its command and node, never a value.
    local description = node == '' and command or command .. ' ' .. node
    local fields = {'created_at', now, 'enqueued_at', now, 'data', data, 'description', description, unpack(template)}
    redis.call('HSET', job_key, unpack(fields))
    redis.call('RPUSH', queue, id)
    -- Redis does not take back what a failed script has written: the answer is remembered only when its job is
    -- queued, and the log, which nobody's answer depends on, may fail.
    redis.call('SET', reply_key, id .. answer, 'EX', remember)
    redis.pcall('XADD', log, 'MAXLEN', '~', log_size, '*', 'id', id, 'app', app, 'command', command, 'node', node,
      'outcome', outcome)
    results[n] = false
  end
end
-- Not lowered when a file that was restored from a copy is sent again: it would fall. Written all the same: WAIT does not
-- wait for what another connection has written, so a script that writes nothing would pass for one that is replicated.
redis.call('SET', mark, string.format('%d', math.max(tonumber(ARGV[4]), last)), 'EX', ARGV[5])
results[#KEYS / 2 - 1] = last -- one behind those of the events: each has two keys, beside the first four
return results
