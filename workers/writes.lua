-- Write combining: what a script adds to a key that many jobs share, or takes from it, is collected, and written by
-- `write_collected` in one command. A script calls that before it reads such a key again, and before it ends.

local MOST = 1000  -- Lua passes no more than some thousands of arguments; even, since scores and members are pairs
local collected, order = {}, {}

-- `second` is there when `first` is a score; `key` is not when the command takes keys alone.
local function collect(command, key, first, second)
  local name = command .. (key or '')
  local write = collected[name]
  if not write then
    write = {command, key}
    write.head = #write
    collected[name], order[#order + 1] = write, write
  end
  write[#write + 1] = first
  write[#write + 1] = second
end

-- In the order in which the keys were first named.
local function write_collected()
  local writes = order
  collected, order = {}, {}
  for _, write in ipairs(writes) do
    for at = write.head + 1, #write, MOST do
      local last = math.min(at + MOST - 1, #write)
      if write.head == 2 then
        redis.call(write[1], write[2], unpack(write, at, last))
      else
        redis.call(write[1], unpack(write, at, last))
      end
    end
  end
end
