-- Accept a batch of events: for each, remember its answer, write its RQ job, queue it and log it, or, when the
-- delivery was accepted before, hand back what was remembered then. Redis runs a script as a whole: there is no
-- moment at which an answer is remembered and its job is not there.
--
-- KEYS  the queue, RQ's set of queues, the event log; then for each event its reply key and its job key
-- ARGV  seconds an answer is remembered, size of the log, the time, n, then n fields and values that all jobs
--       share; then for each event: id, answer, data, app, command, node, outcome
-- Returns, for each event, false when it was accepted, else the id and answer remembered.

local queue, queues, log = KEYS[1], KEYS[2], KEYS[3]
local remember, log_size, now, shared = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local template = {unpack(ARGV, 5, 4 + shared)}
local per_event = 7
local results = {}

redis.call('SADD', queues, queue)
for n = 1, (#KEYS - 3) / 2 do
  local reply_key, job_key = KEYS[2 * n + 2], KEYS[2 * n + 3]
  local at = 4 + shared + (n - 1) * per_event
  local id, answer, data = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local app, command, node, outcome = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
  local before = redis.call('GET', reply_key)
  if before then
    results[n] = before
  else
    -- What rq-dashboard and `rq info` show of an event: its command and node, never a value.
    local description = node == '' and command or command .. ' ' .. node
    redis.call('HSET', job_key, 'created_at', now, 'enqueued_at', now, 'data', data, 'description', description,
      unpack(template))
    redis.call('RPUSH', queue, id)
    -- Redis does not take back what a failed script has written: the answer is remembered only when its job is
    -- queued, and the log, which nobody's answer depends on, may fail.
    redis.call('SET', reply_key, id .. answer, 'EX', remember)
    redis.pcall('XADD', log, 'MAXLEN', '~', log_size, '*', 'id', id, 'app', app, 'command', command, 'node', node,
      'outcome', outcome)
    results[n] = false
  end
end
return results
