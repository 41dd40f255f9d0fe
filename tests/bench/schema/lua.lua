-- A full game state from a Lua table into an event, beside lua-cjson and the library's own reading
-- of the text it makes. One JSON object a line; medians of 7 turns, which the entries take in turn.

local jimbot = require("jimbot")
local ffi = require("ffi")
local full_state = require("game_state")
local has_cjson, cjson = pcall(require, "cjson")

local bus = assert(jimbot.open(nil)) -- loads the library
local state = package.loaded["jimbot.state"]
local C, encode = state.C, state.encode
local N_TURNS, N_STATES, N_ROUNDS = 7, 16, 20

local states = {}
for i = 1, N_STATES do
    states[i] = full_state(i)
end

local holder = ffi.new("jb_encoder *[1]")
assert(C.jb_encoder_create(nil, holder, nil) == 0)
local encoder, event = holder[0], ffi.new("jb_encoded")

local function from_table(payload)
    C.jb_encoder_begin(encoder, "GAME_STATE", 10, nil, 0)
    assert(encode.member(encoder, "payload", payload) == nil)
    assert(C.jb_encoder_end(encoder, event, nil) == 0)
end

local function from_text(payload)
    local text = cjson.encode({ type = "GAME_STATE", payload = payload })
    assert(C.jb_encoder_json(encoder, text, #text, event, nil) == 0)
end

local function only_text(payload)
    cjson.encode({ type = "GAME_STATE", payload = payload })
end

-- Nanoseconds of one event.
local function turn(work)
    local start = os.clock() -- the processor's time, whoever else runs
    for _ = 1, N_ROUNDS do
        for i = 1, N_STATES do
            work(states[i])
        end
    end
    return (os.clock() - start) * 1e9 / (N_ROUNDS * N_STATES)
end

local function median_turns(entries)
    local turns = {}
    for t = 0, N_TURNS do -- the first one warms up
        for e, entry in ipairs(entries) do
            turns[e] = turns[e] or {}
            turns[e][t] = turn(entry.work)
        end
    end
    for e, entry in ipairs(entries) do
        table.sort(turns[e])
        entry.ns = turns[e][math.ceil(N_TURNS / 2)]
    end
end

local entries = { { what = "jimbot: a table", work = from_table } }
if has_cjson then
    entries[2] = { what = "lua-cjson, then jb_encoder_json", work = from_text, wanted = 10 }
    entries[3] = { what = "lua-cjson alone", work = only_text }
end
median_turns(entries)
local name = "schema.lua_to_pb." .. (jit.status() and "jit" or "joff")
for e, entry in ipairs(entries) do
    local ratio = entry.ns / entries[1].ns
    local line = ('{"name":"%s","what":"%s","ns_per_op":%.0f'):format(name, entry.what, entry.ns)
    if e > 1 then
        line = line .. (',"ratio":%.2f'):format(ratio)
    end
    if entry.wanted then
        line = line
            .. (',"wanted":">= %d","reached":%s'):format(entry.wanted, tostring(ratio >= entry.wanted))
    end
    print(line .. "}")
end
if not has_cjson then
    print(('{"name":"%s","what":"lua-cjson","skipped":"not installed"}'):format(name))
end
C.jb_encoder_destroy(encoder)
bus:close()
