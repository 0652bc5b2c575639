-- One request, the same each time, so that wrk builds it once and runs no Lua per request. Its method comes from the
-- environment, its headers from the command line.
--
-- With COMPARE_SIDS, each thread has one connection and one BOSH session: the n-th line of that file. The file
-- COMPARE_BODY has the body with SID and RID in it; the first request id is COMPARE_FIRST_RID.

wrk.method = os.getenv("COMPARE_METHOD")

local function read(name)
   local file = assert(io.open(os.getenv(name), "rb"))
   local content = file:read("*a")
   file:close()
   return content
end

if os.getenv("COMPARE_SIDS") then
   local sids = {}
   for sid in read("COMPARE_SIDS"):gmatch("[^\n]+") do
      sids[#sids + 1] = sid
   end
   local started = 0

   function setup(thread)
      started = started + 1
      thread:set("sid", sids[started])
   end

   local before, after, rid

   function init()
      rid = tonumber(os.getenv("COMPARE_FIRST_RID"))
      -- All request ids have as many digits, so that the length of the body stays the same.
      local first = string.format("%d", rid)
      local body = read("COMPARE_BODY"):gsub("SID", sid):gsub("RID", first)
      local whole = wrk.format(nil, nil, nil, body)
      local from, to = whole:find(first, whole:find("\r\n\r\n", 1, true), true)
      before, after = whole:sub(1, from - 1), whole:sub(to + 1)
   end

   function request()
      rid = rid + 1
      return before .. string.format("%d", rid) .. after
   end
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      'result {"requests": %d, "microseconds": %d, "bytes": %.0f, "errors": '
         .. '{"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}',
      summary.requests, summary.duration, summary.bytes,
      errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
