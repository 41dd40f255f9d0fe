-- The client that stands in for the mod's own: same methods, same answers, nothing lost in silence.

local harness = require("harness")
local json = require("json")
local jimbot = require("jimbot")
local test, equal, same = harness.test, harness.equal, harness.same

local function fresh_client(config)
    package.loaded["balatromcp.event_bus_client"] = nil
    local client = require("balatromcp.event_bus_client")
    client:init(config)
    return client
end

local function pair_up(what, opts, sub_opts)
    local name = harness.bus_name(what)
    local reader = assert(jimbot.open(name, opts))
    local sub = assert(reader:subscribe(">", sub_opts))
    local client = fresh_client({ jimbot_bus = name, event_bus_url = "http://x/api/v1/events" })
    return client, reader, sub
end

test("every method the mod calls is there", function()
    local client = fresh_client({})
    local names = [[init test_connection send_event send_event_sync send_batch process_queue
        buffer_event flush_buffer flush update generate_uuid get_status check_health poll_commands
        set_command_handler reset shutdown]]
    for name in names:gmatch("%S+") do
        equal(type(client[name]), "function", name)
    end
end)

test("send_event and send_batch arrive in order, with what the mod adds", function()
    local client, reader, sub = pair_up("order")
    equal(client:send_event({ type = "ROUND_CHANGED", payload = { ante = 1, round = 2 } }), true)
    equal(client:send_batch({
        { type = "MONEY_CHANGED", payload = { new_value = 5 }, event_id = "kept" },
        { type = "HEARTBEAT", payload = { uptime = 1 }, timestamp = 12.5 },
    }), true)
    local events = sub:poll()
    equal(#events, 4)
    equal(events[1].type, "connection_test")
    local round, money, beat = json.decode(events[2]:to_json()), json.decode(events[3]:to_json()),
        json.decode(events[4]:to_json())
    same(round.payload, { ante = 1, round = 2 })
    equal(round.source, "BalatroMCP")
    equal(round.version, 1)
    assert(#round.event_id > 8 and round.timestamp > 1e12)
    equal(money.event_id, "kept")
    equal(beat.timestamp, 12.5)
    equal(client:get_status().events_sent, 4)
    client:shutdown()
    reader:close()
end)

test("send_event goes through the mod's aggregator where there is one", function()
    local client, reader, sub = pair_up("aggregator")
    local seen = {}
    local aggregator = { add_event = function(_, event) seen[#seen + 1] = event end }
    BalatroMCP = { components = { aggregator = aggregator } }
    equal(client:send_event({ type = "HEARTBEAT" }), true)
    equal(#seen, 1)
    equal(#sub:poll(), 0)
    client.direct = true
    client:send_event({ type = "HEARTBEAT" })
    equal(#sub:poll(), 2)
    BalatroMCP = nil
    client:shutdown()
    reader:close()
end)

test("while the bus is full events wait, in order, and go out again", function()
    local client, reader, sub = pair_up("full", { capacity_bytes = 65536 })
    local n = 0
    while client:get_status().local_buffer_size < 20 do
        n = n + 1
        client:send_event({ type = "MONEY_CHANGED", payload = { new_value = n } })
    end
    local last, got = 0, 0
    for _ = 1, 200 do
        client:update(0.016)
        for _, event in ipairs(sub:poll()) do
            if event.type == "MONEY_CHANGED" then
                local value = json.decode(event:to_json()).payload.new_value
                equal(value, last + 1, "order")
                last, got = value, got + 1
            end
        end
    end
    equal(got, n, "all arrived")
    local status = client:get_status()
    equal(status.local_buffer_size, 0)
    equal(status.events_dropped, 0)
    client:shutdown()
    reader:close()
end)

test("the buffer is bounded; the oldest go and are counted", function()
    local client, reader, sub = pair_up("bound", { capacity_bytes = 65536 })
    client.max_buffer_size = 10
    local sent = 0
    while client:get_status().events_dropped < 7 do
        sent = sent + 1
        client:send_event({ type = "MONEY_CHANGED", payload = { new_value = sent } })
    end
    local got, last = 0, 0
    for _ = 1, 200 do
        client:update(0.016)
        for _, event in ipairs(sub:poll()) do
            got = got + 1
            local payload = json.decode(event:to_json()).payload -- connection_test has none
            last = payload and payload.new_value or last
        end
    end
    equal(got, sent + 1 - 7, "sent, and connection_test, but for those dropped")
    equal(last, sent, "the newest is there")
    client:shutdown()
    reader:close()
end)

test("events that are none are counted, the rest of the batch goes", function()
    local client, reader, sub = pair_up("bad")
    client:send_batch({ { payload = {} }, { type = "HEARTBEAT" }, 5, { type = "HEARTBEAT" } })
    equal(#sub:poll(), 3)
    equal(client:get_status().events_rejected, 2)
    client:send_batch(nil)
    client:send_batch({})
    client:shutdown()
    reader:close()
end)

test("commands reach the handler in the mod's terms, a bad handler harms nobody", function()
    local client, agent = pair_up("commands")
    client:test_connection()
    agent:send_command("select_card", { 3 })
    agent:send_command("select_deck", { "Red Deck" })
    agent:send_command("play_hand")
    local seen = {}
    client:set_command_handler(function(name, params, command)
        seen[#seen + 1] = { name, params.card_index or params.deck, command.text }
        error("a handler's own mistake")
    end)
    client:update(0.016)
    same(seen, {
        { "select_card", 3, "select_card:3" },
        { "select_deck", "Red Deck", "select_deck:Red Deck" },
        { "play_hand", nil, "play_hand" },
    })
    client:set_command_handler(nil)
    client:shutdown()
    agent:close()
end)

test("status has the fields of the mod's client", function()
    local client, reader = pair_up("status")
    equal(client:get_status().connected, false)
    equal((client:check_health()), false)
    equal(client:test_connection(), true)
    local status = client:get_status()
    equal(status.connected, true)
    equal(status.event_queue_size, 0)
    equal(status.local_buffer_size, 0)
    equal(status.url, "http://x/api/v1/events")
    equal(status.circuit_breaker.is_open, false)
    equal(status.circuit_breaker.can_attempt, true)
    equal((client:check_health()), true)
    client:shutdown()
    client:shutdown()
    reader:close()
end)

test("the game's own random numbers are not touched", function()
    local client, reader = pair_up("random")
    math.randomseed(42)
    local want = { math.random(), math.random() }
    math.randomseed(42)
    local first = math.random()
    client:send_event({ type = "HEARTBEAT" })
    client:generate_uuid()
    same({ first, math.random() }, want)
    client:shutdown()
    reader:close()
end)

-- Runs body with package.loaded["jimbot…"] put aside.
local function without_modules(preloaded, body)
    local hidden = {}
    for name, module in pairs(package.loaded) do
        if name:match("^jimbot") then
            hidden[name], package.loaded[name] = module, nil
        end
    end
    for name, loader in pairs(preloaded) do
        package.preload[name] = loader
    end
    local ok, why = pcall(body)
    for name in pairs(preloaded) do
        package.preload[name] = nil
    end
    for name in pairs(package.loaded) do
        if name:match("^jimbot") then
            package.loaded[name] = nil
        end
    end
    for name, module in pairs(hidden) do
        package.loaded[name] = module
    end
    assert(ok, why)
end

local function harmless()
    local client = fresh_client({})
    equal((client:test_connection()), false)
    client:send_event({ type = "HEARTBEAT" })
    client:send_batch({ { type = "HEARTBEAT" } })
    client:update(10)
    client:flush()
    same(client:poll_commands(), {})
    equal((client:check_health()), false)
    assert(#client:generate_uuid() > 0)
    local status = client:get_status()
    equal(status.connected, false)
    equal(status.events_dropped, 2)
    equal(status.local_buffer_size, 0)
    client:shutdown()
end

test("without the module every method is harmless", function()
    local function missing()
        error("not here")
    end
    without_modules({ ["jimbot.mod_client"] = missing }, harmless)
end)

test("without the library every method is harmless", function()
    local function no()
        return nil, "no library"
    end
    local function module()
        return { open = no, available = no }
    end
    without_modules({ jimbot = module }, harmless)
end)

test("the client without the module has every method of the one with it", function()
    local full, absent = fresh_client({}), nil
    without_modules({ ["jimbot.mod_client"] = function() error("no") end }, function()
        absent = fresh_client({})
    end)
    assert(full ~= absent)
    for name, value in pairs(full) do
        assert(type(value) ~= "function" or type(absent[name]) == "function", name)
    end
end)

harness.finish()
