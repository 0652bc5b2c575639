-- One request, the same each time, so that wrk builds it once and runs no Lua per request.
-- Its method and body come from the environment, its headers from the command line.

wrk.method = os.getenv("COMPARE_METHOD")

local body = os.getenv("COMPARE_BODY")
if body then
   local file = assert(io.open(body, "rb"))
   wrk.body = file:read("*a")
   file:close()
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      'result {"requests": %d, "microseconds": %d, "bytes": %.0f, "p99": %d, "errors": '
         .. '{"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}',
      summary.requests, summary.duration, summary.bytes, latency:percentile(99),
      errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
