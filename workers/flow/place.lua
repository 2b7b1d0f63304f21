-- Give the jobs of an event their position among those of their partition keys, and defer those that come after another.

local NEAREST, DAY_SECONDS, FRACTIONS = 20, 86400, 4096  -- a double has room for so many fractions beside milliseconds

-- The ms at which an event was received, moved between its neighbours in its execution, among which it is recorded.
local function arrival_of(execution, seq, ms)
  local key = 'deskbell:execution:' .. execution
  local before = redis.call('ZREVRANGEBYSCORE', key, seq, '-inf', 'LIMIT', 0, 1)[1]
  local behind = redis.call('ZRANGEBYSCORE', key, '(' .. seq, '+inf', 'LIMIT', 0, 1)[1]
  if before then
    local its_seq, its_ms = string.match(before, '^(%d+):(%d+)$')
    ms = tonumber(its_seq) == seq and tonumber(its_ms) or math.max(ms, its_ms)
  end
  if behind then
    ms = math.min(ms, string.match(behind, ':(%d+)$'))
  end
  redis.call('ZADD', key, seq, string.format('%d:%d', seq, ms))
  redis.call('EXPIRE', key, DAY_SECONDS)
  return ms
end

-- The position of an event's jobs: a number as text, since some JSON writers round it.
local function position_of(event)
  local ms = event.execution == '' and event.ms or arrival_of(event.execution, event.seq, event.ms)
  return string.format('%.17g', ms + math.min(event.seq, FRACTIONS - 1) / FRACTIONS)
end

-- The nearest job before a position that has not ended; a dead letter has ended, unless it holds its key.
local function predecessor_of(id, key, position, holds)
  local found = redis.call('ZREVRANGEBYSCORE', key, position, '-inf', 'WITHSCORES', 'LIMIT', 0, NEAREST)
  for n = 1, #found, 2 do
    local other = found[n]
    if tonumber(found[n + 1]) < tonumber(position) or other < id then
      if not has_ended(status_of(other), holds) then
        return other
      end
    end
  end
end

-- Put a job among those of its partition; returns the one that it comes after, if there is one.
local function place(id, partition, position, holds)
  local key = 'deskbell:order:' .. partition
  local predecessor = predecessor_of(id, key, position, holds)
  redis.call('ZADD', key, position, id)
  redis.call('SADD', 'deskbell:orders', partition)
  return predecessor
end

-- Write a job as RQ's `Queue.setup_dependencies` does for one whose dependency has not ended: RQ queues it when that has.
local function defer(id, job_type, fields, predecessor)
  redis.call('HSET', 'rq:job:' .. id, unpack(fields))
  redis.call('HSET', 'rq:job:' .. id, 'status', 'deferred', 'dependency_id', predecessor, 'dependency_ids',
    '["' .. predecessor .. '"]', 'allow_dependency_failures', job_type.holds and 0 or 1, 'enqueue_at_front', 0)
  redis.call('ZADD', 'rq:deferred:' .. job_type.queue, redis.call('TIME')[1], id)
  redis.call('SADD', 'rq:job:' .. predecessor .. ':dependents', id)
  redis.call('SADD', 'rq:job::' .. id .. ':dependencies', predecessor)
end
