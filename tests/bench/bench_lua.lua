-- What publishing costs the thread that does it, from Lua tables; one JSON line a figure. Runs
-- under plain LuaJIT and inside LÖVE (tests/integration/lua/love), with the JIT on or off. The
-- clock is the library's; the collector runs as it does in a game.

local jimbot = require("jimbot")
local full_state = require("game_state")

local bus = assert(jimbot.open(nil))
local sub = assert(bus:subscribe(">", { policy = "latest" }))
local C = package.loaded["jimbot.state"].C
local host = rawget(_G, "love") and "love" or "luajit"
local where = host .. (jit.status() and "_jit" or "_joff")

local function now_ns()
    return tonumber(C.jb_clock_now_ns())
end

local function percentile(sorted, share)
    return sorted[math.max(1, math.ceil(#sorted * share))]
end

local function mean_bytes(events)
    local sum = 0
    for _, event in ipairs(events) do
        sum = sum + #event.payload
    end
    return #events > 0 and sum / #events or 0
end

local function bench(name, n, body)
    for i = 1, n / 10 do
        body(i)
    end
    local times, total = {}, 0
    for i = 1, n do
        local start = now_ns()
        body(i)
        times[i] = now_ns() - start
        total = total + times[i]
    end
    local bytes = mean_bytes(sub:poll(16))
    table.sort(times)
    local line = '{"name":"lua_%s_%s","ops":%d,"ns/op":%.0f,"p50_us":%.2f,"p99_us":%.2f,'
        .. '"bytes/op":%.0f}'
    print(line:format(name, where, n, total / n, percentile(times, 0.5) / 1e3,
        percentile(times, 0.99) / 1e3, bytes))
    while #sub:poll() > 0 do
    end
end

-- Sixteen different states in turn, so that no cache is warm for one of them alone.
local states = {}
for i = 1, 16 do
    states[i] = full_state(i)
end
local money = { old_value = 4, new_value = 9, difference = 5 }

local function publish_state(i)
    assert(bus:publish("GAME_STATE", states[i % 16 + 1]))
end

-- Once as it is used, which is in C where that was built, and once in Lua alone.
local encode = package.loaded["jimbot.state"].encode
if encode.in_c then
    bench("publish_game_state", 20000, publish_state)
    encode.in_c = false
end
bench("publish_game_state_lua_walk", 20000, publish_state)
bench("publish_money_changed", 100000, function()
    assert(bus:publish("MONEY_CHANGED", money))
end)
bench("commands_idle", 100000, function()
    bus:commands()
end)
bus:close()
