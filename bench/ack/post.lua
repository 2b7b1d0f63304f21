-- Posts the documented packet, each time another one; PATH_AND_QUERY is signed by the caller, BEFORE and AFTER stand
-- around the packet, PADDING is a variable more, SESSIONS is how many sessions the packets are of.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local path = os.getenv("PATH_AND_QUERY")
local before, after = os.getenv("BEFORE") or "", os.getenv("AFTER") or ""
local padding = os.getenv("PADDING") or ""
local more = padding == '' and '' or ',"padding":"' .. padding .. '"'
local sessions, n = tonumber(os.getenv("SESSIONS") or 1), 0
function request()
  n = n + 1
  local body = before .. '{"CallbackCommand":"Chatbot.InterfaceInvocation","Body":{"SystemClientUserID":"user517",'
    .. '"SystemSessionID":"207cac25-f49e-4ada-9c9f-301cea31' .. string.format('%04d', n % sessions)
    .. '","staticKey":"staticValue","testKey3":"' .. n
    .. '"' .. more .. '},"EventTime":' .. (1731488371784 + n) .. '}' .. after
  return wrk.format(nil, path, nil, body)
end
