-- The other process of test_processes.lua: reads arg[2] events of type arg[3] from bus arg[1],
-- checks their contents, sends a command for every hundredth, and prints what it saw as JSON.

local json = require("json")
local jimbot = require("jimbot")
local full_state = require("game_state")

local name, n, expected = arg[1], tonumber(arg[2]), arg[3]
local bus = assert(jimbot.open(name, { mode = "attach", commands = false }))
local sub = assert(bus:subscribe("game.>"))

local function fits(event, i)
    if event.type ~= expected then
        return false
    end
    local payload = json.decode(assert(event:to_json())).payload
    if expected == "MONEY_CHANGED" then
        return payload.old_value == i and payload.new_value == i + 1
    end
    local want = full_state(i)
    return payload.game_id == want.game_id and #payload.deck.full_deck == 52
        and payload.deck.full_deck[52].suit == want.deck.full_deck[52].suit
end

local read, in_order, missed = 0, true, 0
while read < n and sub:wait(20) do
    for _, event in ipairs(sub:poll()) do
        read = read + 1
        in_order = in_order and fits(event, read)
        missed = missed + event.n_missed
        if read % 100 == 0 then
            assert(bus:send_command("select_card", { read }))
        end
    end
end
print(('{"read":%d,"in_order":%s,"missed":%d}'):format(read, tostring(in_order), missed))
bus:close()
