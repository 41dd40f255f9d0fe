-- A bus in Lua: opening, commands, subscriptions, a full ring, closing, forgetting.

local harness = require("harness")
local jimbot = require("jimbot")

local test, equal, same = harness.test, harness.equal, harness.same

test("status codes come from the library", function()
    assert(jimbot.load())
    equal(jimbot.err.Full, -4)
    equal(jimbot.err.Closed, -18)
    assert(jimbot.version:match("^%d+%.%d+%.%d+$"))
end)

test("modes: create, attach, open", function()
    local name = harness.bus_name("modes")
    local none, why, code = jimbot.open(name, { mode = "attach" })
    assert(none == nil and #why > 0)
    equal(code, jimbot.err.NotFound)
    local first = assert(jimbot.open(name, { mode = "create", capacity_bytes = 65536 }))
    none, why, code = jimbot.open(name, { mode = "create" })
    assert(none == nil and #why > 0)
    equal(code, jimbot.err.Exists)
    local second = assert(jimbot.open(name, { mode = "attach" }))
    equal(second:stats().capacity_bytes, 65536)
    equal(second:stats().peers, 2)
    first:close()
    second:close()
end)

test("options that make no sense are answers", function()
    local bus, why = jimbot.open("a/b\0c//", { capacity_bytes = 3 })
    assert(bus == nil and #why > 0)
    bus, why = jimbot.open(5)
    assert(bus == nil and why == "the bus's name is not a text")
    bus, why = jimbot.open(nil, { capacity_bytes = "text" })
    assert(bus == nil and #why > 0)
end)

test("commands arrive once, in order, with parameters", function()
    local name = harness.bus_name("commands")
    local game, agent = assert(jimbot.open(name)), assert(jimbot.open(name, { commands = false }))
    equal(#game:commands(), 0)
    assert(agent:send_command("select_card", { 3 }, "c-1"))
    assert(agent:send_command("play_hand"))
    same(game:commands(), {
        { name = "select_card", params = { "3" }, id = "c-1" },
        { name = "play_hand", params = {}, id = "" },
    })
    equal(#game:commands(), 0)
    equal(game:commands(), game:commands(), "an idle frame makes no table")
    equal(game:stats().commands, 2)
    game:close()
    agent:close()
end)

test("at most max commands a call, the rest later", function()
    local bus = assert(jimbot.open(nil))
    for i = 1, 40 do
        assert(bus:send_command("select_card", { i }))
    end
    equal(#bus:commands(5), 5)
    equal(#bus:commands(), 16)
    equal(#bus:commands(), 16)
    equal(bus:commands()[3].params[1], "40")
    bus:close()
end)

test("commands that cannot be are refused", function()
    local bus = assert(jimbot.open(nil))
    for _, args in ipairs({ { "" }, { "a b" }, { ("x"):rep(48) }, { "a", { ("y"):rep(48) } },
        { "a", { "b,c" } }, { "a", { 1, 2, 3, 4, 5, 6, 7, 8, 9 } }, { "a", {}, ("z"):rep(64) } }) do
        local ok, why = bus:send_command(args[1], args[2], args[3])
        assert(ok == false and #why > 0, args[1])
    end
    equal(#bus:commands(), 0)
    bus:close()
end)

test("a lossless subscriber that is behind makes publish answer full", function()
    local bus = assert(jimbot.open(nil, { capacity_bytes = 65536 }))
    local sub = assert(bus:subscribe("game.>"))
    local n, ok, why = 0, true, nil
    while ok and n < 100000 do
        ok, why = bus:publish("MONEY_CHANGED", { old_value = n, new_value = n + 1, difference = 1 })
        n = ok and n + 1 or n
    end
    equal(why, "full")
    assert(n > 100 and n < 1000, n)
    equal(bus:stats().full, 1)
    local got = 0
    repeat
        local events = sub:poll(50)
        got = got + #events
    until #events == 0
    equal(got, n, "nothing lost")
    assert(bus:publish("MONEY_CHANGED", {}), "room again")
    bus:close()
end)

test("a latest subscriber is told what it missed", function()
    local bus = assert(jimbot.open(nil, { capacity_bytes = 65536 }))
    local sub = assert(bus:subscribe("game.>", { policy = "latest" }))
    local n, got, missed = 5000, 0, 0
    for i = 1, n do
        assert(bus:publish("MONEY_CHANGED", { new_value = i }))
    end
    repeat
        local events = sub:poll()
        for _, event in ipairs(events) do
            got, missed = got + 1, missed + event.n_missed
        end
    until #events == 0
    equal(got + missed, n)
    assert(missed > 0 and got > 0)
    bus:close()
end)

test("patterns filter, poll fills the table given", function()
    local bus = assert(jimbot.open(nil))
    local sub = assert(bus:subscribe("game.money.*"))
    assert(sub:add("system.heartbeat"))
    equal((sub:add("no..pattern")), false)
    bus:publish("MONEY_CHANGED", {})
    bus:publish("ROUND_CHANGED", {})
    bus:publish("HEARTBEAT", {})
    local out = { 1, 2, 3, 4, 5 }
    equal(sub:poll(nil, out), out)
    equal(#out, 2)
    assert(out[1].sequence < out[2].sequence)
    equal(out[2].topic, "system.heartbeat")
    equal(#sub:poll(nil, out), 0)
    same(sub:stats().n_delivered, 2)
    assert(bus:subscribe("bad..pattern") == nil)
    assert(bus:subscribe(5) == nil)
    bus:close()
end)

test("close twice, and use after close, are harmless", function()
    local bus = assert(jimbot.open(nil))
    local sub = assert(bus:subscribe(">"))
    sub:close()
    sub:close()
    same(sub:poll(), {})
    local open_sub = assert(bus:subscribe(">"))
    bus:close()
    bus:close()
    same(open_sub:poll(), {})
    equal(open_sub:wait(0), false)
    equal((bus:publish("X", {})), false)
    equal((bus:publish_json("{}")), false)
    equal((bus:send_command("a")), false)
    same(bus:commands(), {})
    assert(bus:stats() == nil and bus:subscribe(">") == nil)
end)

test("forgotten subscriptions and buses are closed by the collector", function()
    local name = harness.bus_name("gc")
    local bus = assert(jimbot.open(name))
    for _ = 1, 200 do -- more than max_subs and max_peers
        assert(bus:subscribe("x.>"))
        assert(jimbot.open(name))
        collectgarbage()
        collectgarbage()
    end
    equal(bus:stats().peers, 1)
    equal(bus:stats().subs, 1)
    bus:close()
end)

test("the null bus has every method and claims nothing", function()
    local null = jimbot.null
    for _, class in ipairs({ "Bus", "Sub" }) do
        for method in pairs(package.loaded["jimbot.state"].classes[class]) do
            assert(method:sub(1, 2) == "__" or type(null[method]) == "function", method)
        end
    end
    equal((null:publish("X", {})), false)
    same(null:commands(), {})
    null:close()
end)

harness.finish()
