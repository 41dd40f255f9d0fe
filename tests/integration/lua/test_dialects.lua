-- A bus takes what is published in the dialect it was opened for, and events are written in any.

local harness = require("harness")
local json = require("json")
local jimbot = require("jimbot")

local equal, same, test = harness.equal, harness.same, harness.test

local STATE = {
    state = "SHOP",
    round_num = 3,
    round = { hands_left = 2, zzz = 1 },
    jokers = { count = 1, limit = 5, cards = { { id = 7, value = { effect = "x" } } } },
}

local function published(dialect, kind, payload)
    local bus = assert(jimbot.open(nil, { dialect = dialect }))
    local sub = assert(bus:subscribe(">"))
    assert(bus:publish(kind, payload))
    return assert(sub:poll()[1])
end

test("a state of balatrobot comes back in its own words", function()
    local event = published("balatrobot", "GAME_STATE", STATE)
    same(json.decode(assert(event:to_json("balatrobot"))), STATE)
end)

test("the same state is read in the other dialects", function()
    local event = published("balatrobot", "GAME_STATE", STATE)
    equal(json.decode(assert(event:to_json())).payload.hands_remaining, 2)
    equal(json.decode(assert(event:to_json("protobuf"))).gameState.round, "3")
end)

test("protobuf's keys and the fields' own names are understood", function()
    local event = published("protobuf", "MONEY_CHANGED", { newValue = 7, old_value = "5" })
    same(json.decode(assert(event:to_json())).payload, { new_value = 7, old_value = 5 })
end)

test("what is no dialect is named", function()
    local event = published(nil, "MONEY_CHANGED", { new_value = 7 })
    local text, why = event:to_json("klingon")
    equal(text, nil)
    assert(why:find("klingon"), why)
    text, why = event:to_json("balatrobot")
    equal(text, nil)
    assert(why:find("balatrobot"), why)
    local bus
    bus, why = jimbot.open(nil, { dialect = "klingon" })
    equal(bus, nil)
    assert(why:find("klingon"), why)
end)

harness.finish()
