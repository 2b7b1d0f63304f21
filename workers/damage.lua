-- Damaged keys, and what every script does about them. Redis does not undo what a script has written that ends early: so
-- one key that is not what it should be must end nothing. Stands in front of every script; what is found is told.

local damaged = {}

-- Whether an answer is an error that a damaged key makes. Others are the server's own: it is full, or a replica.
local function is_damage(answer)
  local text = type(answer) == 'table' and answer.err or answer
  local code = type(text) == 'string' and string.match(text, '^(%u+) ')
  return type(text) == 'string' and (not code or code == 'ERR' or code == 'WRONGTYPE')
end

-- Do what a damaged key may end early. False when it did; an error that is the server's own goes on.
local function try(key, what, ...)
  local is_done, first, second = pcall(what, ...)
  if not is_done then
    if not is_damage(first) then
      error(type(first) == 'string' and {err = first} or first, 0)  -- Valkey 9 gives a text, Redis a table
    end
    damaged[#damaged + 1] = key
  end
  return is_done, first, second
end

-- Ask something of a key of ours. One that holds something else is of no use to anybody: it is deleted.
local function ours(command, key, ...)
  local is_done, answer = try(key, redis.call, command, key, ...)
  if is_done then
    return answer
  end
  redis.call('DEL', key)
  return redis.call(command, key, ...)
end

-- Whether a key of RQ's can be read.
local function is_sound(command, key)
  return (try(key, redis.call, command, key))
end
