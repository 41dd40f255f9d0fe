-- A game that runs for a few frames without a window: publishes from love.update, obeys a command
-- it sends itself, and quits by itself with 0 when everything arrived. `love FOLDER bench [joff]`
-- measures instead (tests/bench/bench_lua.lua).

for _, word in ipairs(arg) do
    if word == "joff" then
        jit.off()
    end
end

local jimbot = require("jimbot")
local full_state = require("game_state")
local client = require("balatromcp.event_bus_client")

local FRAMES = 300
local name = ("test-love-%d-%s"):format(os.time() % 100000, tostring({}):match("%x+$"))
local bus, sub, state
local frame, got, obeyed = 0, 0, 0
local times = {}

function love.load(args)
    if args[1] == "bench" then
        love.update = nil
        require("bench_lua")
        return love.event.quit(0)
    end
    bus = assert(jimbot.open(name))
    sub = assert(bus:subscribe("game.>"))
    state = full_state(1)
    client:init({ jimbot_bus = name })
    client:set_command_handler(function(command, params)
        obeyed = obeyed + (command == "select_card" and params.card_index == frame and 1 or 0)
    end)
    assert(client:test_connection())
end

local function finish()
    table.sort(times)
    local status = client:get_status()
    local text = "LÖVE %s: %d states and %d other events read, %d commands obeyed, median %.0f us"
    local median_us = times[#times / 2] * 1e6
    print(text:format(love._version, FRAMES, got - FRAMES, obeyed, median_us))
    local good = got == 2 * FRAMES and obeyed == FRAMES and status.events_dropped == 0
    print(good and "1 passed, 0 failed" or "0 passed, 1 failed")
    client:shutdown()
    bus:close()
    love.event.quit(good and 0 or 1)
end

function love.update(dt)
    frame = frame + 1
    local start = love.timer.getTime()
    assert(bus:publish("GAME_STATE", state))
    times[frame] = love.timer.getTime() - start
    client:send_event({ type = "MONEY_CHANGED", payload = { new_value = frame } })
    bus:send_command("select_card", { frame })
    client:update(dt)
    got = got + #sub:poll()
    if frame == FRAMES then
        finish()
    end
end

function love.errorhandler(message)
    print("FAILED " .. debug.traceback(tostring(message), 2))
    return function()
        return 1
    end
end
