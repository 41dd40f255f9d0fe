-- Load for wrk: POST bodies from the environment, a new event_id in each place marked @.
-- Prints one line "RESULT requests errors p50_us p99_us seconds" for host.py.
local before, parts, n = os.getenv("BENCH_HEAD"), {}, 0
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
for part in (file:read("*a") .. "@"):gmatch("([^@]*)@") do
    parts[#parts + 1] = part
end
file:close()

local ids = {}
function request()
    for i = 1, #parts - 1 do
        n = n + 1
        ids[2 * i - 1] = parts[i]
        ids[2 * i] = string.format("%s%010d", before, n)
    end
    ids[2 * #parts - 1] = parts[#parts]
    return wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, table.concat(ids))
end

-- With a pace each connection rests that many milliseconds between two requests.
local pace = tonumber(os.getenv("BENCH_PACE_MS") or "")
if pace then
    function delay()
        return pace
    end
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %.1f %.1f %.6f\n", summary.requests,
        e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50),
        latency:percentile(99), summary.duration / 1e6))
end
