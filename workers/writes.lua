-- Write combining: what a script adds to a key that many jobs share, or takes from it, is collected, and written by
-- `write_collected` in one command. A script calls that before it reads such a key again, and before it ends.

local MOST = 1000  -- Lua passes no more than some thousands of arguments
local collected, order = {}, {}

-- `second` is there when `first` is a score; `key` is not when the command takes keys alone.
local function collect(command, key, first, second)
  local name = command .. (key or '')
  local write = collected[name]
  if not write or #write > MOST then
    write = {command, key}
    collected[name], order[#order + 1] = write, write
  end
  write[#write + 1] = first
  write[#write + 1] = second
end

local function write_collected()
  local writes = order
  collected, order = {}, {}
  for _, write in ipairs(writes) do
    redis.call(unpack(write))
  end
end
