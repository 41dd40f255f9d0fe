-- Two processes: this one publishes; another LuaJIT, or a C program, reads the same ring; commands
-- travel back.

local harness = require("harness")
local json = require("json")
local jimbot = require("jimbot")
local full_state = require("game_state")
local test, equal, same = harness.test, harness.equal, harness.same
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local joff = jit.status() and "" or "-joff"

local function start_reader(name, n, expected)
    local command = "luajit %s '%s/reader.lua' '%s' %d '%s'"
    return assert(io.popen(command:format(joff, here, name, n, expected)))
end

-- The reader is there once its subscription is; nothing published before would reach it.
local function wait_for_subs(bus, n)
    local deadline = os.time() + 20
    while bus:stats().subs < n and os.time() < deadline do
        os.execute("sleep 0.01")
    end
    equal(bus:stats().subs, n, "subscriptions")
end

local function publish_patiently(bus, kind, payload)
    local ok, why
    local deadline = os.time() + 20
    repeat
        ok, why = bus:publish(kind, payload)
        if why == "full" then
            os.execute("sleep 0.001")
        end
    until why ~= "full" or os.time() > deadline
    assert(ok, why)
end

test("another process reads every event, in order, and answers with commands", function()
    local name = harness.bus_name("two")
    local bus = assert(jimbot.open(name, { capacity_bytes = 1048576 }))
    local n = 2000
    local pipe = start_reader(name, n, "MONEY_CHANGED")
    wait_for_subs(bus, 2)
    for i = 1, n do
        publish_patiently(bus, "MONEY_CHANGED", { old_value = i, new_value = i + 1 })
    end
    local text = pipe:read("*a")
    pipe:close()
    local result = json.decode(text)
    same(result, { read = n, in_order = true, missed = 0 })
    local commands = 0
    for _ = 1, 100 do
        for _, command in ipairs(bus:commands()) do
            commands = commands + 1
            equal(command.params[1], tostring(commands * 100))
        end
    end
    equal(commands, n / 100, "commands")
    bus:close()
end)

test("a C program reads the typed fields of what Lua published", function()
    local name = harness.bus_name("c")
    local bus = assert(jimbot.open(name, { capacity_bytes = 1048576 }))
    local pipe = assert(io.popen(("'%s' '%s' 5000"):format(arg[5], name)))
    wait_for_subs(bus, 2)
    for i = 1, 5000 do
        publish_patiently(bus, "MONEY_CHANGED", { old_value = i, new_value = i + 1 })
    end
    same(json.decode(pipe:read("*a")), { read = 5000, in_order = true, missed = 0 })
    pipe:close()
    bus:close()
end)

test("full game states cross whole", function()
    local name = harness.bus_name("states")
    local bus = assert(jimbot.open(name, { capacity_bytes = 1048576 }))
    local pipe = start_reader(name, 100, "GAME_STATE")
    wait_for_subs(bus, 2)
    for i = 1, 100 do
        publish_patiently(bus, "GAME_STATE", full_state(i))
    end
    same(json.decode(pipe:read("*a")), { read = 100, in_order = true, missed = 0 })
    pipe:close()
    bus:close()
end)

harness.finish()
