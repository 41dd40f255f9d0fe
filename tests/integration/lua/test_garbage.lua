-- What a long game costs in memory: nothing grows, and an idle frame makes no garbage at all.

local harness = require("harness")
local jimbot = require("jimbot")
local full_state = require("game_state")
local test = harness.test

local function settled_kb()
    collectgarbage()
    collectgarbage()
    return collectgarbage("count")
end

local function round(n, body)
    local before = settled_kb()
    for _ = 1, n do
        body()
    end
    local kept = settled_kb() - before
    collectgarbage("stop")
    before = collectgarbage("count")
    for _ = 1, 1000 do
        body()
    end
    local made = (collectgarbage("count") - before) * 1024 / 1000
    collectgarbage("restart")
    return kept, made
end

-- How much body() leaves behind after n rounds, and how many bytes it makes each time. The best of
-- three: what leaks does so every time, but the interpreter's own tables grow and shrink by turns.
local function measure(n, body)
    for _ = 1, 2000 do
        body()
    end
    local kept, made = math.huge, math.huge
    for _ = 1, 3 do
        local kept_now, made_now = round(n, body)
        kept, made = math.min(kept, kept_now), math.min(made, made_now)
    end
    return kept, made
end

local function bounded(name, n, max_kept_kb, max_bytes, body)
    test(name, function()
        local kept, made = measure(n, body)
        print(("%s: kept %.1f KB over %d, garbage %.0f bytes each"):format(name, kept, n, made))
        assert(kept < max_kept_kb, "kept " .. kept .. " KB")
        assert(made < max_bytes, "made " .. made .. " bytes")
    end)
end

local bus = assert(jimbot.open(nil, { capacity_bytes = 1048576 }))
local money = { old_value = 4, new_value = 9, difference = 5 }
local named = { event_id = "x", timestamp = 1 }
local state = full_state(3)

bounded("publish a small event", 100000, 64, 400, function()
    assert(bus:publish("MONEY_CHANGED", money))
end)
bounded("publish with an envelope of one's own", 100000, 64, 64, function()
    assert(bus:publish("MONEY_CHANGED", money, named))
end)
bounded("publish a full state", 2000, 64, 400, function()
    assert(bus:publish("GAME_STATE", state))
end)
bounded("an idle frame", 100000, 16, 16, function()
    bus:commands()
end)

local batch = {}
for i = 1, 50 do
    batch[i] = { type = "MONEY_CHANGED", payload = money, event_id = "x", timestamp = i }
end
-- Interpreted, each event makes a few pointers.
bounded("a batch of 50", 4000, 64, jit.status() and 64 or 50 * 160, function()
    assert(bus:publish_batch(batch))
end)
local requester = assert(bus:requester())
bounded("a frame without outcomes", 100000, 16, 16, function()
    requester:poll()
end)
local watcher = assert(bus:subscribe("nothing.>", { policy = "latest" }))
bounded("a frame without events", 100000, 16, 16, function()
    watcher:poll()
end)

local small = assert(jimbot.open(nil, { capacity_bytes = 65536 }))
local behind = assert(small:subscribe(">")) -- held, or the collector would end it
while small:publish("MONEY_CHANGED", money, named) do
end
bounded("a full bus", 20000, 16, 64, function()
    assert(select(2, small:publish("MONEY_CHANGED", money, named)) == "full")
end)

assert(behind:stats(), "still open")
harness.finish()
