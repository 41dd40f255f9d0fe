-- jimbot.client and the mod's client with an address, against a jimbotd that test_lua.py starts and
-- stops: it reads commands on standard input ("stop", "start") and answers each with a line.

local ffi = require("ffi")
local harness = require("harness")
local jimbot = require("jimbot")
local test, equal = harness.test, harness.equal
local url, folder = arg[1], arg[2]

ffi.cdef("int usleep(unsigned us);")

local function order(word)
    io.stdout:write("> " .. word .. "\n")
    io.stdout:flush()
    assert(io.stdin:read("*l"))
end

local function wait_until(check, what)
    for _ = 1, 1000 do
        if check() then
            return
        end
        ffi.C.usleep(5000)
    end
    error("it did not come to it: " .. what, 2)
end

local fast = { backoff_min = 0.02, backoff_max = 0.1 }

local function all_of(sub, n)
    local list = {}
    wait_until(function()
        for _, event in ipairs(sub:poll()) do
            list[#list + 1] = event
        end
        return #list >= n
    end, n .. " events")
    return list
end

test("events and commands go there and come back", function()
    local bus = assert(jimbot.connect(url, { source = "lua" }))
    local sub = assert(bus:subscribe("game.>"))
    wait_until(function() return sub:is_live() and bus.command_sub:is_live() end, "live")
    equal(bus:publish("MONEY_CHANGED", { old_value = 4, new_value = 9, difference = 5 }), true)
    equal(bus:publish_event({ type = "HAND_PLAYED", payload = { hands_remaining = 3 } }), true)
    equal(bus:publish("MONEY_CHANGED", {}, nil, 7), true)
    local events = all_of(sub, 3)
    equal(events[1].type, "MONEY_CHANGED")
    equal(events[2].topic, "game.hand.played")
    equal(events[3].key, 7)
    assert(events[1]:to_json():find('"new_value":9', 1, true))
    equal(bus:send_command("select_card", { 3 }), true)
    local commands = {}
    wait_until(function()
        for _, command in ipairs(bus:commands()) do
            commands[#commands + 1] = command.name .. ":" .. command.params[1]
        end
        return #commands > 0
    end, "a command")
    equal(commands[1], "select_card:3")
    equal(bus:state(), "up")
    equal(bus:status().way, "websocket")
    equal(bus:close(1), 0)
    equal(bus:state(), "closed")
    equal(bus:publish("X"), false)
end)

test("what cannot be is an answer, never an error", function()
    equal(jimbot.connect("nowhere"), nil)
    equal(jimbot.connect(7), nil)
    equal((jimbot.connect("ws://127.0.0.1:1", { dialect = "none" })), nil)
    local bus = assert(jimbot.connect(url))
    equal((bus:subscribe("a..b")), nil)
    equal((bus:subscribe("a", { policy = "none" })), nil)
    equal((bus:publish("X", (function() local t = {} t.t = t return t end)())), false)
    bus:close()
    bus:close()
end)

test("what somebody still holds after a close is closed too", function()
    local bus = assert(jimbot.connect(url))
    local sub = assert(bus:subscribe("game.>"))
    equal(#sub:poll(-1), 0)
    equal(#sub:poll(0 / 0), 0)
    equal(#bus:commands(-1), 0)
    bus:close()
    for _ = 1, 4 do
        collectgarbage()
    end
    equal(select(2, sub:poll()), "closed")
    equal(sub:wait(0), false)
    equal(sub:is_live(), false)
    equal(#bus:commands(), 0)
    sub:close()
    equal(#bus.command_sub:poll(), 0)
end)

test("a server that is stopped loses nothing", function()
    local bus = assert(jimbot.connect(url, fast))
    local sub = assert(bus:subscribe("game.money.changed"))
    wait_until(function() return sub:is_live() end, "live")
    for i = 1, 50 do
        bus:publish("MONEY_CHANGED", { new_value = i })
    end
    local list = all_of(sub, 50)
    order("stop")
    wait_until(function() return bus:state() ~= "up" end, "down")
    for i = 51, 100 do
        equal(bus:publish("MONEY_CHANGED", { new_value = i }), true)
    end
    equal(bus:stats().waiting, 50)
    order("start")
    for _, event in ipairs(all_of(sub, 50)) do
        list[#list + 1] = event
    end
    for i, event in ipairs(list) do
        assert(event:to_json():find(('"new_value":%d}'):format(i), 1, true), event:to_json())
    end
    equal(#list, 100)
    equal(bus:close(1), 0)
end)

test("a client that is forgotten is closed by the collector", function()
    local weak = setmetatable({}, { __mode = "v" })
    weak[1] = assert(jimbot.connect(url))
    weak[1]:subscribe("game.>")
    for _ = 1, 4 do
        collectgarbage()
    end
    equal(weak[1], nil)
end)

local function mod(config)
    package.loaded["balatromcp.event_bus_client"] = nil
    local client = require("balatromcp.event_bus_client")
    client:init(config)
    client.reconnect_s = 0.02
    return client
end

test("the mod's client goes over the network when there is no bus here", function()
    local client = mod({ jimbot_bus = folder .. "/none", jimbot_url = true,
        event_bus_url = url:gsub("^ws", "http") .. "/api/v1/events" })
    equal(client:test_connection(), true)
    wait_until(function() client:update(0.016) return client.connected end, "connected")
    local agent = assert(jimbot.connect(url))
    local sub = assert(agent:subscribe("game.>"))
    wait_until(function() return sub:is_live() and client.bus.command_sub:is_live() end, "live")
    equal(client:send_event({ type = "ROUND_CHANGED", payload = { ante = 1, round = 2 } }), true)
    equal(all_of(sub, 1)[1].type, "ROUND_CHANGED")
    agent:send_command("select_card", { 3 })
    local seen
    client:set_command_handler(function(name, params) seen = name .. params.card_index end)
    wait_until(function() client:update(0.016) return seen end, "a command")
    equal(seen, "select_card3")
    equal((client:check_health()), true)
    equal(client:get_status().stats.refused, 0)
    client:set_command_handler(nil)
    client:shutdown()
    agent:close()
end)

test("what the mod's client could not send by its end is counted", function()
    local client = mod({ jimbot_bus = folder .. "/none", jimbot_url = "ws://127.0.0.1:9" })
    equal(client:test_connection(), true)
    client:send_event_sync({ type = "ROUND_CHANGED", payload = { ante = 1, round = 2 } })
    client:shutdown()
    equal(client:get_status().events_dropped, 2)
end)

test("the mod's client takes shared memory where there is a bus", function()
    local name = folder .. "/here"
    local reader = assert(jimbot.open(name))
    local client = mod({ jimbot_bus = name, jimbot_url = url })
    equal(client:test_connection(), true)
    equal(client.bus.state, nil)
    equal(client.connected, true)
    client:shutdown()
    reader:close()
end)

-- How long a frame's publish takes, sorted, in microseconds.
local function times(bus, n)
    local now, list = ffi.load(os.getenv("JIMBOT_LIBRARY")).jb_clock_now_ns, {}
    for i = 1, n do
        local begun = now()
        bus:publish("MONEY_CHANGED", { old_value = i, new_value = i + 1, difference = 1 })
        list[i] = tonumber(now() - begun) / 1000
        if i % 10 == 0 then
            ffi.C.usleep(500)
        end
    end
    table.sort(list)
    return list
end

local function report(what, bus)
    local list = times(bus, 5000)
    print(("publish, server %s: p50 %.1f us, p99 %.1f us, longest %.1f us"):format(what, list[2500],
        list[4950], list[5000]))
    -- Far above what it takes, far below a frame: what waits for anybody would show.
    assert(list[4950] < 4000, "p99 " .. list[4950])
end

test("publishing takes microseconds whatever the server does", function()
    local bus = assert(jimbot.connect(url, fast))
    wait_until(function() return bus:state() == "up" end, "up")
    report("up", bus)
    order("freeze")
    report("frozen", bus)
    order("thaw")
    order("stop")
    wait_until(function() return bus:state() ~= "up" end, "down")
    report("absent", bus)
    order("start")
    bus:close(5)
end)

harness.finish()
