-- What a Lua table says comes back, value for value, from the event it became.

local harness = require("harness")
local json = require("json")
local jimbot = require("jimbot")
local full_state = require("game_state")

local equal, same = harness.equal, harness.same
local bus = assert(jimbot.open(nil))
local sub = assert(bus:subscribe(">"))

local function round_trip(kind, payload, envelope)
    assert(bus:publish(kind, payload, envelope))
    local events = sub:poll()
    equal(#events, 1, "events")
    return json.decode(assert(events[1]:to_json())), events[1]
end

-- All of it twice: the walk in C (bindings/lua/walk.c) and the walk in Lua obey the same laws.
local function laws(walk)
    local function test(name, test_body)
        harness.test(walk .. ": " .. name, test_body)
    end

    test("a full game state comes back value for value", function()
        local state = full_state(7)
        local event, raw = round_trip("GAME_STATE", state)
        same(event.payload, state, "payload")
        equal(raw.topic, "game.state.update")
        equal(raw.type, "GAME_STATE")
    end)

    test("five hundred different states come back", function()
        for seed = 1, 500 do
            local state = full_state(seed)
            same(round_trip("GAME_STATE", state).payload, state, "seed " .. seed)
        end
    end)

    test("an event gets an id and a timestamp, and keeps those it has", function()
        local first = round_trip("MONEY_CHANGED", { old_value = 1 })
        local second = round_trip("MONEY_CHANGED", { old_value = 1 })
        assert(#first.event_id > 8 and first.event_id ~= second.event_id, "ids differ")
        assert(math.abs(first.timestamp / 1000 - os.time()) < 60, "milliseconds since 1970")
        local given = { event_id = "e-1", timestamp = 1000016.6666667, source = "S", version = 1 }
        local third = round_trip("MONEY_CHANGED", { old_value = 1 }, given)
        for key, value in pairs(given) do
            equal(third[key], value, key)
        end
    end)

    test("envelope members of any shape are kept", function()
        local envelope = {
            subtype = "REQUEST",
            priority = "high",
            headers = { ["x-a"] = "b" },
            changes = { { field = "money", old = 1, new = 2 } },
            initial = true,
            something_new = { deep = { 1, 2, { "three" } } },
        }
        local event, raw = round_trip("LEARNING_DECISION", { request_id = "r1" }, envelope)
        for key, value in pairs(envelope) do
            same(event[key], value, key)
        end
        equal(raw.topic, "learning.decision.request")
    end)

    test("numbers: whole, fractional, negative, huge, beyond 2^53, not finite", function()
        local n = { a = 0, b = -1, c = 0.1, d = 1e308, e = 2 ^ 53 + 2, f = 1e14, g = 5e-324 }
        same(round_trip("CUSTOM_NUMBERS", n).payload, n)
        same(round_trip("CUSTOM_NUMBERS", { exact = 9007199254740993LL }, {}).payload.exact, 2 ^ 53)
        local odd = { new_chips = 1 / 0, old_chips = -1 / 0, new_mult = 0 / 0 }
        same(round_trip("SCORE_CHANGED", odd).payload,
            { new_chips = "Infinity", old_chips = "-Infinity", new_mult = "NaN" })
    end)

    test("strings: empty, UTF-8, quotes, NUL, bytes that are no text", function()
        local s = { a = "", b = "Ötzi ♥", c = 'say "hi"\n\\', d = "x\0y" }
        same(round_trip("CUSTOM_TEXT", s).payload, s)
        equal(round_trip("CUSTOM_TEXT", { a = "\255" }).payload.a, "\239\191\189")
    end)

    test("tables: empty, lists, lists of lists, holes, mixed keys", function()
        same(round_trip("CUSTOM_T", { a = {}, b = { 1, 2 }, c = { { 1 }, {} } }).payload,
            { a = {}, b = { 1, 2 }, c = { { 1 }, {} } })
        same(round_trip("CUSTOM_T", { h = { 1, nil, 3 } }).payload.h, { ["1"] = 1, ["3"] = 3 })
        same(round_trip("CUSTOM_T", { m = { 10, 20, x = "y" } }).payload,
            { m = { ["1"] = 10, ["2"] = 20, x = "y" } })
        same(round_trip("CUSTOM_T", { [1.5] = "a", [true] = "b" }).payload,
            { ["1.5"] = "a", ["true"] = "b" })
    end)

    test("an empty table is an empty object in the text", function()
        local _, event = round_trip("GAME_STATE", { in_game = true, jokers = {} })
        assert(event:to_json():find('"jokers":%s*{}'), event:to_json())
    end)

    test("what JSON has no word for becomes null and is counted", function()
        local before = bus:stats().skipped
        local thread = coroutine.create(print)
        local payload = { f = print, u = io.stdout, c = thread, l = { 1, print, 3 } }
        local back = round_trip("CUSTOM_ODD", payload).payload
        same(back, { f = json.null, u = json.null, c = json.null, l = { 1, json.null, 3 } })
        round_trip("CUSTOM_ODD", { [{}] = "a key that is a table" })
        equal(bus:stats().skipped - before, 5, "skipped")
    end)

    test("a table that contains itself is refused with its path", function()
        local loop = { jokers = { {}, {} } }
        loop.jokers[2].owner = loop
        local ok, why = bus:publish("GAME_STATE", loop)
        equal(ok, false)
        equal(why, "payload.jokers[2].owner: the table contains itself")
        assert(bus:publish("HEARTBEAT", {}), "the next event goes")
        equal(#sub:poll(), 1)
    end)

    test("the same table twice is not a loop", function()
        local shared = { x = 1 }
        same(round_trip("CUSTOM_T", { a = shared, b = shared }).payload,
            { a = { x = 1 }, b = { x = 1 } })
    end)

    test("too deep and endless tables are refused", function()
        local deep = {}
        for _ = 1, 100 do
            deep = { deep }
        end
        equal((bus:publish("CUSTOM_DEEP", { deep })), false)
        local wide = { "x" }
        for _ = 1, 50 do
            wide = { wide, wide }
        end
        equal((bus:publish("CUSTOM_WIDE", wide)), false)
        local ok, why = bus:publish("CUSTOM_BIG", { ("x"):rep(2000000) })
        assert(not ok and #why > 0, "too large")
        equal(#sub:poll(), 0, "nothing arrived")
    end)

    test("bad arguments are answers, not errors", function()
        for _, args in ipairs({ {}, { 5 }, { "" }, { {} }, { "X", {}, 5 } }) do
            local ok, why = bus:publish(args[1], args[2], args[3])
            assert(ok == false and #why > 0)
        end
        equal((bus:publish_event("text")), false)
        equal((bus:publish_json(nil)), false)
        local ok, why = bus:publish_json('{"type": }')
        assert(ok == false and #why > 0, why)
        equal(#sub:poll(), 0)
    end)

    test("what was survived is counted by its kind", function()
        local before = bus:repairs()
        assert(bus:publish_json('{"type":"X","a":inf,"version":"5","b":1,"b":2}'))
        local after = bus:repairs()
        for kind, n in pairs(after) do
            local one = kind == "non_finite" or kind == "coerced" or kind == "duplicate_keys"
            equal(n - before[kind], one and 1 or 0, kind)
        end
        sub:poll()
    end)

    test("a bus may be strict, and canonical", function()
        local strict = assert(jimbot.open(nil, { strict = true, canonical = true, commands = false }))
        local here = assert(strict:subscribe(">"))
        equal((strict:publish_json('{"type":"X","a":inf}')), false)
        assert(strict:publish_json('{"b":1,"a":2,"type":"X"}'))
        assert(strict:publish_json('{"type":"X", "a":2, "b":1}'))
        local events = here:poll()
        equal(#events, 2)
        equal(events[1].payload, events[2].payload)
        strict:close()
        equal((strict:repairs()), nil)
    end)

    test("JSON text and a whole event table are published too", function()
        assert(bus:publish_json('{"type":"ROUND_CHANGED","payload":{"ante":2,"round":5}}'))
        assert(bus:publish_event({ type = "connection_test", data = { message = "hi" } }))
        local events = sub:poll()
        equal(#events, 2)
        same(json.decode(events[1]:to_json()).payload, { ante = 2, round = 5 })
        same(json.decode(events[2]:to_json()).data, { message = "hi" })
        equal(events[2].topic, "system.connection.test")
    end)
end

local encode = package.loaded["jimbot.state"].encode
assert(encode.in_c or arg[4] == "no-walk", "the walk in C was built but not found")
if encode.in_c then
    laws("C")
end
encode.in_c = false
laws("Lua")

harness.finish()
