-- Batches, keys, ways of reading, questions and answers in Lua.

local harness = require("harness")
local jimbot = require("jimbot")

local test, equal = harness.test, harness.equal

local function drain(sub)
    local list = {}
    repeat
        local events, why = sub:poll()
        assert(not why, why)
        for _, event in ipairs(events) do
            list[#list + 1] = event
        end
    until #events == 0
    return list
end

local function money(i)
    return { type = "MONEY_CHANGED", payload = { new_value = i } }
end

local function value(event)
    return tonumber(event:to_json():match('"new_value":(%d+)'))
end

test("a batch goes at once, in order", function()
    local bus = assert(jimbot.open(nil, { source = "lua" }))
    local sub = assert(bus:subscribe("game.>"))
    local events = {}
    for i = 1, 300 do
        events[i] = money(i)
    end
    assert(bus:publish_batch(events))
    assert(bus:publish_batch({}))
    local got = drain(sub)
    equal(#got, 300)
    for i, event in ipairs(got) do
        equal(value(event), i)
        equal(event.time_ns, got[1].time_ns, "one time")
        equal(event.sequence, got[1].sequence + i - 1)
        equal(event.key, 0)
    end
    assert(got[1]:to_json():find('"source":"lua"', 1, true), "defaults are added")
    equal(bus:stats().published, 300)
    bus:close()
end)

test("a bad event is named and nothing of its batch is there", function()
    local bus = assert(jimbot.open(nil))
    local sub = assert(bus:subscribe(">"))
    local own = {}
    own.payload, own.type = { own = own }, "LOOP"
    local bad = {
        { { money(1), 5 }, "event 2: not a table" },
        { { money(1), { payload = {} } }, "event 2: the event's type is not a text" },
        { { own }, "event 1: payload" },
        { { money(1) }, "event 1: the key", { -1 } },
        { { money(1), money(2) }, "event 2: the key", { 1, 0.5 } },
        { "text", "the events" },
        { { money(1) }, "the events, or their keys", 5 },
    }
    for _, case in ipairs(bad) do
        local ok, why, code = bus:publish_batch(case[1], case[3])
        equal(ok, false)
        equal(why:sub(1, #case[2]), case[2])
        equal(code, jimbot.err.Invalid)
    end
    local many = {}
    for i = 1, 4097 do
        many[i] = money(i)
    end
    equal(bus:publish_batch(many), false)
    local ok, why, code = bus:publish_batch({ { type = "BIG", payload = ("x"):rep(700000) },
        { type = "BIG", payload = ("x"):rep(700000) } })
    assert(ok == false and why:find("event 2"), why)
    equal(code, jimbot.err.TooBig)
    equal(#drain(sub), 0)
    equal(bus:stats().failed, #bad + 2)
    bus:close()
    equal(select(2, bus:publish_batch({ money(1) })), "closed")
end)

test("a batch that finds no room is not there at all", function()
    local bus = assert(jimbot.open(nil, { capacity_bytes = 65536 }))
    local sub = assert(bus:subscribe(">"))
    local events, n = {}, 0
    for i = 1, 100 do
        events[i] = money(i)
    end
    local ok, why, code
    repeat
        ok, why, code = bus:publish_batch(events)
        n = ok and n + 100 or n
    until not ok
    equal(why, "full")
    equal(code, jimbot.err.Full)
    equal(#drain(sub), n)
    bus:close()
end)

test("keys: the newest of each is kept", function()
    local bus = assert(jimbot.open(nil))
    local all = assert(bus:subscribe(">"))
    local newest = assert(bus:subscribe(">", { policy = "conflate" }))
    assert(bus:publish_batch({ money(1), money(2), money(3) }, { 7, 8, 7 }))
    assert(bus:publish("MONEY_CHANGED", { new_value = 4 }, nil, 4294967295))
    equal(select(2, bus:publish("MONEY_CHANGED", {}, nil, 2 ^ 32)):sub(1, 7), "the key")
    equal(select(2, bus:publish("MONEY_CHANGED", {}, nil, "1")):sub(1, 7), "the key")
    local keys = {}
    for i, event in ipairs(drain(all)) do
        keys[i] = event.key
    end
    harness.same(keys, { 7, 8, 7, 4294967295 })
    local got = drain(newest)
    equal(#got, 3)
    harness.same({ value(got[1]), value(got[2]), value(got[3]) }, { 2, 3, 4 })
    equal(newest:stats().n_conflated, 1)
    bus:close()
end)

test("high events come first", function()
    local bus = assert(jimbot.open(nil))
    local sub = assert(bus:subscribe(">", { high_first = true }))
    assert(bus:publish("MONEY_CHANGED", { new_value = 1 }))
    assert(bus:publish("ERROR", {}, { priority = "high" }))
    local got = drain(sub)
    harness.same({ got[1].type, got[2].type }, { "ERROR", "MONEY_CHANGED" })
    bus:close()
end)

test("options that make no sense are answers", function()
    local bus = assert(jimbot.open(nil))
    for _, opts in ipairs({ { policy = "fast" }, { start = 5 }, { wait = "nap" }, { name = {} },
        { spin_ns = "x" }, { evict_after_ns = {} }, { policy = "latest", high_first = true } }) do
        local sub, why, code = bus:subscribe(">", opts)
        assert(sub == nil and #why > 0)
        equal(code, jimbot.err.Invalid)
    end
    assert(bus:requester({ max_in_flight = 0 }) == nil)
    assert(bus:requester({ max_in_flight = "x" }) == nil)
    assert(bus:requester(5) == nil)
    equal(bus:stats().subs, 1)
    bus:close()
end)

test("one who stands still is evicted and told; a budget holds", function()
    local bus = assert(jimbot.open(nil, { capacity_bytes = 65536, commands = false }))
    local sub = assert(bus:subscribe("game.>", { evict_after_ns = 1 }))
    local n = 3000
    for i = 1, n do
        while not bus:publish("MONEY_CHANGED", { new_value = i }) do
            assert(sub:stats().held_since_ns > 0)
        end
    end
    local got, missed = drain(sub), 0
    for _, event in ipairs(got) do
        missed = missed + event.n_missed
    end
    -- What tells of the eviction is an event too, taken or missed.
    equal(#got + missed + sub:stats().n_filtered, bus:stats().bus_published)
    assert(bus:stats().bus_published > n)
    assert(sub:stats().n_evicted >= 1 and sub:stats().evict_after_ns == 1)
    bus:close()
    local small = assert(jimbot.open(nil, { budget_bytes = 8192, stall_after_ns = 5 }))
    local behind = assert(small:subscribe("game.>"))
    while small:publish("MONEY_CHANGED", {}) do
    end
    equal(small:stats().bus_over_budget, 1)
    equal(small:stats().stall_after_ns, 5)
    assert(#drain(behind) < 200)
    small:close()
end)

test("a question gets its answer", function()
    local name = harness.bus_name("ask")
    local game, agent = assert(jimbot.open(name)), assert(jimbot.open(name, { commands = false }))
    local sub = assert(agent:subscribe("learning.decision.request"))
    local requester = assert(game:requester({ name = "asks" }))
    equal(requester:poll(), requester:poll(), "an idle frame makes no table")
    local id = assert(requester:send("LEARNING_DECISION_REQUEST", { request_id = "r1" }))
    equal(#requester:poll(), 0)
    local events = sub:poll()
    equal(#events, 1)
    assert(events[1].is_request and not events[1].is_reply)
    equal(events[1].key, id)
    assert(agent:reply(events[1], "LEARNING_DECISION_RESPONSE", { request_id = "r1" }))
    assert(agent:reply(events[1], "LEARNING_DECISION_RESPONSE", { request_id = "r1" }))
    local outcomes = requester:poll()
    equal(#outcomes, 1)
    equal(outcomes[1].id, id)
    assert(outcomes[1].elapsed_ns > 0 and outcomes[1].reply.is_reply)
    equal(outcomes[1].reply.type, "LEARNING_DECISION_RESPONSE")
    equal(#requester:poll(), 0)
    local stats = requester:stats()
    equal(stats.n_replied, 1)
    equal(stats.n_duplicate, 1)
    game:close()
    equal(select(2, requester:poll()), "closed")
    equal(select(2, requester:send("X")), "closed")
    equal(requester:stats(), nil)
    equal(requester:cancel(id), false)
    agent:close()
end)

test("a question without an answer times out, a cancelled one has no outcome", function()
    local bus = assert(jimbot.open(nil))
    local sub = assert(bus:subscribe("game.ask"))
    local requester = assert(bus:requester({ max_in_flight = 2 }))
    local late = assert(requester:send("ASK", nil, { timeout = 0.001, topic = "game.ask" }))
    local gone = assert(requester:send("ASK", {}, { timeout = math.huge, topic = "game.ask" }))
    local id, why, code = requester:send("ASK")
    assert(id == nil and #why > 0)
    equal(code, jimbot.err.Limit)
    equal(requester:cancel(gone), true)
    equal(requester:cancel(gone), false)
    local outcomes
    repeat
        outcomes = requester:poll()
    until #outcomes > 0
    equal(#outcomes, 1)
    equal(outcomes[1].id, late)
    equal(outcomes[1].reply, nil)
    for _, event in ipairs(sub:poll()) do
        assert(bus:reply(event, "ANSWER"))
    end
    equal(#requester:poll(), 0)
    equal(requester:stats().n_late, 2)
    equal(requester:stats().n_in_flight, 0)
    bus:close()
end)

test("what is no request is refused", function()
    local bus = assert(jimbot.open(nil))
    local requester = assert(bus:requester())
    for _, event in ipairs({ 5, {}, { is_request = true }, { is_request = true, key = 1 },
        { is_request = true, key = "1", publisher = 1 } }) do
        equal(select(2, bus:reply(event, "X")), "the event is no request")
    end
    for _, opts in ipairs({ 5, { timeout = 0 }, { timeout = -1 }, { timeout = 0 / 0 },
        { timeout = "1" }, { topic = 5 }, { topic = "a..b" }, { envelope = 5 } }) do
        local id, why, code = requester:send("ASK", {}, opts)
        assert(id == nil and #why > 0)
        equal(code, jimbot.err.Invalid)
    end
    assert(requester:send(nil) == nil)
    equal(requester:stats().n_sent, 0)
    bus:close()
end)

test("a requester that is forgotten is closed, and so is one with its bus", function()
    local bus = assert(jimbot.open(nil, { commands = false }))
    for _ = 1, 5 do
        assert(bus:requester())
    end
    collectgarbage()
    collectgarbage()
    equal(bus:stats().subs, 0)
    local kept = assert(bus:requester())
    bus:close()
    kept:close()
    for _ = 1, 20 do
        local lost = assert(jimbot.open(nil))
        assert(lost:requester())
    end
    collectgarbage()
    collectgarbage()
end)

test("without the library nothing is claimed", function()
    equal(jimbot.null:publish_batch({}), false)
    equal(jimbot.null:requester(), nil)
    equal(jimbot.null:reply({}), false)
end)

harness.finish()
