-- The attempt at a job, as its `meta` counts it; see workers/retries.py.

-- The attempt that a `meta` counts, and the rest of its text from behind that.
local function read_attempt(meta)
  if not meta then
    return 0, '}'
  end
  local attempt, rest = string.match(meta, '^{"attempt": (%d+)(.*)$')
  if attempt then
    return tonumber(attempt), rest
  end
  local read = read_table(meta)  -- what is unreadable is replaced, or saving the job would fail each time
  local before = tonumber(read.attempt) or 0
  read.attempt = nil
  local is_sound, others = pcall(cjson.encode, read)  -- Python writes NaN, which is not JSON
  rest = is_sound and next(read) and string.sub(others, 1, 1) == '{' and ', ' .. string.sub(others, 2) or '}'
  return before >= 0 and math.floor(before) or 0, rest
end

-- Count an attempt as workers/retries.py does: after the last comes the first. Returns its number and the new `meta`.
local function begin_attempt(meta, attempts)
  local before, rest = read_attempt(meta)
  local attempt = before < attempts and before + 1 or 1
  return attempt, '{"attempt": ' .. string.format('%d', attempt) .. rest
end

-- The `meta` of an attempt that is not to count.
local function without_attempt(meta)
  local attempt, rest = read_attempt(meta)
  return '{"attempt": ' .. string.format('%d', math.max(attempt - 1, 0)) .. rest
end
