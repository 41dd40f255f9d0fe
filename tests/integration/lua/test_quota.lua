-- Leases in Lua: now or later, never waiting; what is forgotten is given back.

local harness = require("harness")
local jimbot = require("jimbot")
local test, equal = harness.test, harness.equal

local function open(name)
    return assert(jimbot.coordinator(name, {
        resources = {
            { name = "ram", kind = "memory", capacity = 1000, headroom = 100 },
            { name = "gpu0", kind = "gpu_time", capacity = 1 },
        },
        components = { { name = "game", weight = 2 }, { name = "trainer" } },
    }))
end

local function allocated(coord, name)
    return coord:resource(name or "ram").allocated
end

test("a lease is had now or not at all", function()
    local coord = open(nil)
    local lease = assert(coord:try("game", { ram = 800 }))
    equal(allocated(coord), 800)
    equal(lease:check(), "good")
    local none, why, code = coord:try("trainer", { ram = 200 })
    equal(none, nil)
    equal(why, "busy")
    equal(code, jimbot.err.Full)
    local token = lease:token()
    equal(lease:release(), true)
    equal(allocated(coord), 0)
    local again = assert(coord:try("trainer", { ram = 200 }))
    assert(again:token() > token)
    again:release()
    coord:close()
end)

test("a second release is an answer, and changes nothing", function()
    local coord = open(nil)
    local lease = assert(coord:try("game", { ram = 100 }))
    local other = assert(coord:try("game", { ram = 50 }))
    equal(lease:release(), true)
    local ok, why, code = lease:release()
    assert(ok == nil and #why > 0)
    equal(code, jimbot.err.NotFound)
    equal(lease:check(), nil)
    equal(allocated(coord), 50)
    other:release()
    coord:close()
end)

test("who stands in line is asked, frame by frame", function()
    local coord = open(nil)
    local held = assert(coord:try("trainer", { gpu0 = 1 }))
    local ticket = assert(coord:request("game", { gpu0 = 1 }, { priority = "high" }))
    for _ = 1, 100 do
        local none, why = ticket:poll()
        assert(none == nil and why == "busy")
    end
    equal(coord:resource("gpu0").n_waiting, 1)
    held:release()
    local lease = assert(ticket:poll())
    equal(lease:check(), "good")
    equal((ticket:poll()), nil)
    local second = assert(coord:request("trainer", { gpu0 = 1 }))
    second:cancel()
    second:cancel()
    equal(coord:resource("gpu0").n_waiting, 0)
    lease:release()
    coord:close()
end)

test("a lease ends by itself, and can be made to last", function()
    local coord = open(nil)
    local lease = assert(coord:try("game", { ram = 100 }, { hold = 60 }))
    local _, left = lease:check()
    assert(left > 30 and left <= 60, left)
    equal(lease:renew(600), true)
    _, left = lease:check()
    assert(left > 500, left)
    local short = assert(coord:try("game", { ram = 100 }, { hold = 1e-3 }))
    while short:check() do
    end
    equal(allocated(coord), 100)
    lease:release()
    coord:close()
end)

test("what is forgotten is given back", function()
    local coord = open(nil)
    local held = coord:try("game", { gpu0 = 1 })
    local ticket = coord:request("trainer", { gpu0 = 1 })
    equal((ticket:poll()), nil)
    ticket = nil
    collectgarbage()
    equal(coord:resource("gpu0").n_waiting, 0)
    held = nil
    collectgarbage()
    equal(allocated(coord, "gpu0"), 0)
    coord = nil
    collectgarbage()
end)

test("two of one name share it, and a closed one gives everything back", function()
    local name = harness.bus_name("quota")
    local one, two = open(name), assert(jimbot.coordinator(name))
    local lease = assert(one:try("game", { ram = 900 }))
    equal((two:try("trainer", { ram = 1 })), nil)
    one:close()
    one:close()
    equal((lease:release()), nil)
    equal((one:try("game", { ram = 1 })), nil)
    assert(two:try("trainer", { ram = 1 })):release()
    two:close()
    assert(jimbot.unlink_coordinator(name))
    local none, why, code = jimbot.unlink_coordinator(name)
    equal(none, nil)
    equal(type(why), "string")
    equal(code, jimbot.err.NotFound)
end)

test("bad arguments are answers", function()
    local coord = open(nil)
    for _, args in ipairs({
        { "nobody", { ram = 1 } },
        { nil, { ram = 1 } },
        { "game", { rum = 1 } },
        { "game", { ram = 0 } },
        { "game", { ram = 0 / 0 } },
        { "game", { ram = "much" } },
        { "game", {} },
        { "game" },
        { "game", { ram = 1 }, { priority = "urgent" } },
    }) do
        local lease, why, code = coord:try(args[1], args[2], args[3])
        assert(lease == nil and #why > 0)
        equal(code, jimbot.err.Invalid)
    end
    local _, _, code = coord:try("game", { ram = 901 })
    equal(code, jimbot.err.TooBig)
    equal((jimbot.coordinator(nil, { resources = { { name = "x", kind = "gold" } } })), nil)
    local none, why = jimbot.coordinator(nil, {})
    assert(none == nil and #why > 0)
    coord:close()
end)

harness.finish()
