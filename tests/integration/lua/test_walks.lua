-- The walk in C and the walk in Lua give the same event, and the same refusal, for any table:
-- random ones of every shape, and those at the limits.

local harness = require("harness")
local jimbot = require("jimbot")
local equal = harness.equal

local bus = assert(jimbot.open(nil))
local sub = assert(bus:subscribe(">"))
local encode = package.loaded["jimbot.state"].encode
local envelope = { event_id = "e", timestamp = 1 }
local unnamed = { print, io.stdout, coroutine.create(print), newproxy() }

if not encode.in_c then
    assert(arg[4] == "no-walk", "the walk in C was built but not found")
    print("0 passed, 0 failed: there is no walk in C")
    os.exit(77)
end

local function outcome(in_c, kind, value)
    encode.in_c = in_c
    local before = bus:stats().skipped
    local ok, why = bus:publish(kind, value, envelope)
    encode.in_c = true
    local events = sub:poll()
    equal(#events, ok and 1 or 0, "events")
    return ok and events[1]:to_json() or why, bus:stats().skipped - before, ok and events[1].topic
end

local function agree(kind, value, what)
    local text_c, skipped_c, topic_c = outcome(true, kind, value)
    local text, skipped, topic = outcome(false, kind, value)
    equal(text_c, text, what)
    equal(skipped_c, skipped, what .. ": skipped")
    equal(topic_c, topic, what .. ": topic")
    return text
end

local names = { "ante", "jokers", "deck", "full_deck", "hand", "chips", "mult", "id", "rank",
    "boss", "edition", "shop_items", "joker_1", "timestamp", "", "an odd\0key", "ключ" }
local texts = { "", "10", "Hearts", "none", "true", "3.5", "x\0y", "\255\254", ("long"):rep(300) }
local numbers = { 0, -0, 1, -1, 10, 0.1, 1e15, 1e14, -1e300, 1 / 0, -1 / 0, 0 / 0, 2 ^ 53, 1e7 / 3 }
local keys = { 1, 2, 3, 0, -1, 1.5, 1e15, 1e14, 1e300, 2 ^ 40, true, false, print, {} }
local random = math.random
local random_value

local function random_table(depth)
    local shape, t = random(4), {}
    for i = 1, random(0, 5) do
        if shape <= 2 then
            t[names[random(#names)]] = random_value(depth + 1)
        elseif shape == 3 then
            t[i] = random_value(depth + 1)
        else
            t[keys[random(#keys)]] = random_value(depth + 1)
        end
    end
    return t
end

function random_value(depth)
    local kind = random(10)
    if kind <= 5 and depth < 8 then
        return random_table(depth)
    elseif kind <= 7 then
        return numbers[random(#numbers)]
    elseif kind <= 9 then
        return texts[random(#texts)]
    end
    return kind == 10 and random(2) == 1 or unnamed[random(#unnamed)]
end

harness.test("random tables", function()
    math.randomseed(20)
    local kinds = { "GAME_STATE", "CUSTOM_THING", "JOKERS_CHANGED", "LEARNING_DECISION", "METRIC" }
    for i = 1, 3000 do
        agree(kinds[random(#kinds)], random_table(0), "table " .. i)
    end
end)

harness.test("values that are no table", function()
    for _, list in ipairs({ texts, numbers, unnamed, { true, false } }) do
        for i = 1, #list do
            agree("CUSTOM_THING", list[i], tostring(list[i]))
        end
    end
end)

harness.test("refusals name the same place", function()
    local loop = { jokers = { {}, { owner = {} } } }
    loop.jokers[2].owner.back = loop.jokers
    local text = agree("GAME_STATE", loop, "loop")
    equal(text, "payload.jokers[2].owner.back: the table contains itself")
    local deep, level = {}, nil
    level = deep
    for _ = 1, 70 do
        level.a = {}
        level = level.a
    end
    assert(agree("GAME_STATE", deep, "deep"):find("nested deeper than 60", 1, true))
    local wide = { "x" }
    for _ = 1, 40 do
        wide = { wide, wide }
    end
    assert(agree("CUSTOM_THING", wide, "wide"):find(": more than 100000 tables", 1, true))
    equal(agree("MONEY_CHANGED", { new_value = 1 }, "after"):find("new_value") ~= nil, true)
end)

harness.test("cdata is left to Lua and counted once", function()
    local array = require("ffi").new("int[2]")
    local value = { a = print, exact = 9007199254740993LL, other = array }
    agree("CUSTOM_THING", value, "cdata")
    local _, skipped = outcome(true, "CUSTOM_THING", value)
    equal(skipped, 2)
    assert(outcome(true, "CUSTOM_THING", value):find("9007199254740993", 1, true))
end)

harness.finish()
