-- Runs once, after the load: prints wrk's own counters unrounded, on one line.
-- Without request() and response() functions wrk's hot path stays in C.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"duration_us": %d, "requests": %d, "bytes": %d, "p50_us": %.0f, "p99_us": %.0f, '
      .. '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
    summary.duration, summary.requests, summary.bytes,
    latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
