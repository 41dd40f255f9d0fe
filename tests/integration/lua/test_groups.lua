-- Consumer groups in Lua: each event to one worker, until it is acknowledged.

local harness = require("harness")
local jimbot = require("jimbot")
local test, equal, same = harness.test, harness.equal, harness.same

local function open(name)
    return assert(jimbot.open(name, { capacity_bytes = 65536, commands = false }))
end

local function publish(bus, first, n)
    for i = first, first + n - 1 do
        assert(bus:publish("MONEY_CHANGED", { old_value = i, new_value = i }))
    end
end

local function numbers(events)
    local list = {}
    for i, event in ipairs(events) do
        list[i] = tonumber(event:to_json():match('"new_value":(%d+)'))
    end
    return list
end

test("each event goes to one worker", function()
    local name = harness.bus_name("groups")
    local bus, other = open(name), open(name)
    local one = assert(bus:join("g", "game.>"))
    local two = assert(other:join("g", "game.>"))
    publish(bus, 0, 5)
    local mine = one:take(2)
    same(numbers(mine), { 0, 1 })
    same(numbers(two:take()), { 2, 3, 4 })
    equal(mine[1].n_deliveries, 1)
    same(one:take(), {})
    equal(one:ack(mine[1]), true)
    equal(one:ack(mine[2].sequence), true)
    equal(two:ack_all(), 3)
    local group = bus:groups()[1]
    equal(group.name .. " " .. group.pattern, "g game.>")
    equal(group.n_workers, 2)
    equal(group.n_acked, 5)
    equal(group.n_pending, 0)
    bus:close()
    other:close()
end)

test("what was not acknowledged goes to another", function()
    local bus = open(nil)
    local one, two = assert(bus:join("g", "game.>")), assert(bus:join("g", "game.>"))
    publish(bus, 0, 3)
    local taken = one:take()
    equal(one:nack(taken[2]), true)
    equal(two:wait(5), true)
    local again = two:take()
    same(numbers(again), { 1 })
    equal(again[1].n_deliveries, 2)
    local ok, why, code = one:ack(taken[2])
    assert(ok == false and #why > 0)
    equal(code, jimbot.err.State)
    equal(one:ack(taken[1]), true)
    one:leave()
    same(numbers(two:take()), { 2 })
    equal(two:ack_all(), 2)
    equal(bus:groups()[1].n_redelivered, 2)
    bus:close()
end)

test("an acknowledgement that is too late says so", function()
    local bus = open(nil)
    local slow = assert(bus:join("g", "game.>", { ack_timeout_ns = 20000000 }))
    local other = assert(bus:join("g", "game.>"))
    publish(bus, 0, 1)
    local late = slow:take()[1]
    equal(other:wait(20), true)
    equal(other:take()[1].n_deliveries, 2)
    local ok, why, code = slow:ack(late)
    assert(ok == false and #why > 0)
    equal(code, jimbot.err.Timeout)
    equal(other:ack_all(), 1)
    bus:close()
end)

test("a worker that is forgotten leaves", function()
    local bus = open(nil)
    local worker = assert(bus:join("g", "game.>"))
    publish(bus, 7, 1)
    equal(#worker:take(), 1)
    worker = nil
    collectgarbage()
    collectgarbage()
    equal(bus:groups()[1].n_workers, 0)
    local heir = assert(bus:join("g", "game.>"))
    same(numbers(heir:take()), { 7 })
    bus = nil
    heir = nil
    collectgarbage()
end)

test("a closed bus closes its workers, and a group without one can be removed", function()
    local name = harness.bus_name("removed")
    local bus, other = open(name), open(name)
    local worker = assert(bus:join("g", "game.>"))
    local ok, why, code = other:remove_group("g")
    assert(ok == false and #why > 0)
    equal(code, jimbot.err.State)
    bus:close()
    same(worker:take(), {})
    equal((worker:ack(1)), false)
    equal(worker:ack_all(), 0)
    equal(worker:wait(0), false)
    worker:leave()
    equal(other:remove_group("g"), true)
    same(other:groups(), {})
    other:close()
    equal((other:join("g", "game.>")), nil)
end)

test("bad arguments are answers", function()
    local bus = open(nil)
    for _, args in ipairs({ { "no name", "a.b" }, { "g", "a..b" }, { 5, "a.b" }, { "g" } }) do
        local worker, why = bus:join(args[1], args[2])
        assert(worker == nil and #why > 0, args[1])
    end
    local worker = assert(bus:join("g", "a.b"))
    local _, why = bus:join("g", "a.c")
    assert(why:find("a.b", 1, true), why)
    local ok, _, code = worker:ack("1")
    assert(ok == false and code == jimbot.err.Invalid)
    equal(#worker:take(1000), 0)
    bus:close()
end)

test("the null bus has every method of a worker", function()
    for method in pairs(package.loaded["jimbot.state"].classes.Worker) do
        assert(method:sub(1, 2) == "__" or type(jimbot.null[method]) == "function", method)
    end
    equal(jimbot.null:join("g", "a.b"), nil)
    same(jimbot.null:take(), {})
end)

harness.finish()
