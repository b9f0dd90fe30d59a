-- wrk: asks for the paths that stand in the file $URLS, one a line, over and over, and says as JSON what came of it
local paths, at = {}, 0
function init()
  for line in io.lines(os.getenv("URLS")) do paths[#paths + 1] = line end
end
function request()
  at = at % #paths + 1
  return wrk.format("GET", paths[at])
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('JSON {"requests":%d,"bytes":%d,"us":%d,"p50_ms":%.3f,"p99_ms":%.3f,"errors":%d}\n', summary.requests, summary.bytes,
    summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000, e.status + e.connect + e.read + e.write + e.timeout))
end
