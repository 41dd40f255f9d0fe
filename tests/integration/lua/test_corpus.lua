-- Every event of a corpus ($JIMBOT_CORPUS, real bodies of the BalatroMCP mod; without it, events of
-- our own) goes in twice, as JSON text and as a Lua table, and comes back value for value. One
-- subscriber receives all of them, in order.

local harness = require("harness")
local json = require("json")
local jimbot = require("jimbot")
local full_state = require("game_state")
local equal, same = harness.equal, harness.same

local bus = assert(jimbot.open(nil))
local sub = assert(bus:subscribe(">"))

local function read_file(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

-- The bodies of the corpus, in the order they were sent: lists of events.
local function bodies_of(folder)
    local bodies = {}
    local pipe = assert(io.popen(("ls '%s'"):format(folder)))
    for name in pipe:lines() do
        if name:match("%.json$") then
            local body = json.decode(read_file(folder .. "/" .. name))
            bodies[#bodies + 1] = { name = name, events = body.events or { body } }
        end
    end
    pipe:close()
    return bodies
end

local function own_bodies()
    local events = {
        { type = "connection_test", data = { message = "hi" }, timestamp = 1795244494000 },
        { type = "GAME_STATE", payload = full_state(5), source = "BalatroMCP", version = 1 },
        { type = "SCORING", subtype = "HAND_EVAL_START", payload = { score = 1e308 } },
        { type = "SOMETHING_NEW", payload = { a = { {}, { b = {} } } }, priority = "urgent" },
        { type = "LEARNING_DECISION", subtype = "REQUEST", payload = {
            request_id = "r", game_state = full_state(6), available_actions = { "1", "true" },
            time_limit_ms = 1000 } },
    }
    return { { name = "own", events = events } }
end

-- What the decoder of the tests calls null, Lua tables call nothing; and bare inf and nan come back
-- as texts.
local function published(value)
    if type(value) == "table" and value ~= json.null then
        local copy = {}
        for key, item in pairs(value) do
            copy[key] = published(item)
        end
        return copy
    elseif type(value) == "number" and (value ~= value or value * 0 ~= 0) then
        return value ~= value and "NaN" or value > 0 and "Infinity" or "-Infinity"
    elseif value == json.null then
        return nil
    end
    return value
end

local folder = os.getenv("JIMBOT_CORPUS")
local bodies = folder and folder ~= "" and bodies_of(folder) or own_bodies()

harness.test("every event comes back, published as a table", function()
    local n = 0
    for _, body in ipairs(bodies) do
        for i, event in ipairs(body.events) do
            n = n + 1
            assert(bus:publish_event(event))
            local got = sub:poll()
            equal(#got, 1, body.name)
            local back = published(json.decode(assert(got[1]:to_json())))
            local want = published(event)
            for _, key in ipairs({ "event_id", "timestamp" }) do
                want[key] = want[key] or back[key] -- added where the event has none
            end
            same(back, want, ("%s[%d]"):format(body.name, i))
        end
    end
    equal(sub:stats().n_delivered, n)
    print(n .. " events as tables")
end)

local function publish_texts(texts)
    for i, text in ipairs(texts) do
        local ok, why = bus:publish_json(text)
        assert(ok, ("event %d: %s"):format(i, tostring(why)))
    end
end

harness.test("every event comes back in order, published as text", function()
    local texts, wants = {}, {}
    for _, body in ipairs(bodies) do
        for _, event in ipairs(body.events) do
            wants[#wants + 1] = event
            texts[#texts + 1] = json.encode(event)
        end
    end
    publish_texts(texts)
    local n, last = 0, 0
    repeat
        local got = sub:poll(50)
        for _, event in ipairs(got) do
            n = n + 1
            assert(event.sequence > last, "order")
            last = event.sequence
            local back = json.decode(assert(event:to_json()))
            same(published(back), published(wants[n]), "event " .. n)
        end
    until #got == 0
    equal(n, #wants, "received")
    print(n .. " events as text")
end)

harness.finish()
