-- A job of its own in every request; only answers of 201 count.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  n, created, others = 0, 0, 0
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  n = n + 1
  return wrk.format(nil, nil, nil, '{"type":"NOOP","payload":{"n":' .. n .. '}}')
end

function response(status)
  if status == 201 then created = created + 1 else others = others + 1 end
end

function done(summary, latency, requests)
  local created, others, errors = 0, 0, summary.errors
  for _, thread in ipairs(threads) do
    created = created + thread:get("created")
    others = others + thread:get("others")
  end
  io.write(string.format(
    'RESULT {"created":%d,"others":%d,"broken":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f}',
    created, others, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
