-- The load of run.ts, for wrk: the requests of the file that is its argument, one a line, in turn.
local requests, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    requests[#requests + 1] = line:gsub("\\r\\n", "\r\n")
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  -- One that takes long is in the latencies.
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write
  print(string.format(
    '{"requestsPerSecond":%f,"p50Ms":%f,"p99Ms":%f,"maxMs":%f,"failed":%d}',
    summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3, failed))
end
