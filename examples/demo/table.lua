-- table.lua: the demo's game process. Every other event goes out over HTTP as the mod would send it, every other one
-- in-process; commands come in-process, once a frame.
--
-- Invariant: nothing in a frame waits. A decision is asked for in one frame and obeyed in the first frame in which its
-- command has come; the frame loop goes on in between.
--
-- usage: luajit table.lua BUS URL ROUNDS FPS. Prints its books as one JSON object.

local bus_name, url, n_rounds, fps = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
package.path = arg[0]:match("^(.*)/") .. "/?.lua;" .. package.path

local socket = require("socket")
local json = require("cjson")
local jimbot = require("jimbot")
local Game = require("game")
local Post = require("post")

local DECISION_LIMIT_S = 5
local bus = assert(jimbot.open(bus_name, { source = "table", peer_name = "table" }))
local answers = assert(bus:subscribe("strategy.response", { policy = "latest", name = "table answers" }))
assert(answers:add("knowledge.update"))
assert(answers:add("learning.decision.response"))

local started = socket.gettime()
local post = Post.new(url, ("table-%d-"):format(started * 1000))
local books = { sent = 0, in_process = 0, full = 0, failed = 0, by_type = {}, decisions = 0, late = 0, refused = 0,
    commands = 0, asked = 0, answered = 0, round_trip_ms = {} }

local function emit(kind, payload, extra)
    extra = extra or {}
    books.sent = books.sent + 1
    books.by_type[kind] = (books.by_type[kind] or 0) + 1
    if books.sent % 2 == 0 then
        post:add(kind, payload, extra, (socket.gettime() - started) * 1000)
        return
    end
    local ok, why = bus:publish(kind, payload, extra)
    while not ok and why == "full" do -- a reader is a whole ring behind: a real game would buffer and go on
        books.full = books.full + 1
        socket.sleep(0.001)
        ok, why = bus:publish(kind, payload, extra)
    end
    if ok then
        books.in_process = books.in_process + 1
    else
        books.failed = books.failed + 1
        io.stderr:write(kind, ": ", tostring(why), "\n")
    end
end

local game = Game.new(emit, 7)
local open -- the decision that waits for its command

local function ask()
    books.decisions = books.decisions + 1
    books.asked = books.asked + 1
    open = { id = ("d%d"):format(books.decisions), at = socket.gettime() }
    emit("LEARNING_DECISION", { request_id = open.id, game_state = game:state(), available_actions = game:actions(),
        time_limit_ms = DECISION_LIMIT_S * 1000 }, { subtype = "REQUEST", priority = "high" })
end

local function obey_commands()
    for _, command in ipairs(bus:commands()) do
        books.commands = books.commands + 1
        if open and command.id == open.id then
            books.round_trip_ms[#books.round_trip_ms + 1] = (socket.gettime() - open.at) * 1000
            open = nil
            if not game:obey(command.name) then
                books.refused = books.refused + 1
            end
        elseif command.name ~= "sort_hand" then
            books.refused = books.refused + 1
        end
    end
    if open and socket.gettime() - open.at > DECISION_LIMIT_S then
        books.late = books.late + 1
        open = nil
        game:obey(game:actions()[1])
    end
end

local function count_answers()
    books.answered = books.answered + #answers:poll()
end

local function every_second()
    emit("HEARTBEAT", { version = "0.1.0", uptime = (socket.gettime() - started) * 1000, headless = true,
        game_state = game.phase })
    emit("METRIC", { name = "frame_rate", value = fps, unit = "Hz" })
    emit("STATE_SNAPSHOT", game:state())
    emit("STRATEGY_REQUEST", { request_id = ("s%d"):format(game.frame), game_state = game:state() })
    emit("KNOWLEDGE_QUERY", { query_id = ("k%d"):format(game.frame), query = "joker synergies", limit = 3 })
    emit("TABLE_WEATHER", { mood = "calm", seats = { 1, 2, 3 }, nested = { deep = { value = 0.5 } } })
    books.asked = books.asked + 2
end

local function first_words()
    post:test_connection()
    books.sent = books.sent + 1
    books.by_type.connection_test = 1
    emit("DIAGNOSTIC", { g_exists = true, g_funcs_exists = true, g_game_exists = true, g_state = "MENU",
        available_functions = { "play_cards_from_highlighted" } })
    emit("ERROR", { message = "this error is part of the demo", context = { where = "table.lua" }, stack_trace = "" })
end

local function frame()
    game.frame = game.frame + 1
    obey_commands()
    count_answers()
    if not open and game.frame % 9 == 0 then
        ask()
    end
    if game.frame % fps == 0 then
        every_second()
    end
    if game.frame % 6 == 0 then
        post:flush()
    end
    if game.frame % math.ceil(fps / 2) == 0 then
        post:poll_commands()
    end
end

local function run()
    first_words()
    game:begin_round()
    local next_frame = socket.gettime()
    while game.round <= n_rounds do
        frame()
        next_frame = next_frame + 1 / fps
        socket.sleep(math.max(0, next_frame - socket.gettime()))
    end
    emit("GAME_OVER", { game_id = game.id, won = true, ante = game.ante, round = game.round,
        final_score = game.chips })
    post:flush()
end

-- Everything that was asked has been answered before the last event goes out, so that it is the last one.
local function settle()
    local limit = socket.gettime() + 3
    while (open or books.answered < books.asked) and socket.gettime() < limit do
        obey_commands()
        count_answers()
        post:flush()
        socket.sleep(0.005)
    end
    socket.sleep(0.2)
    obey_commands()
    post:flush()
    post:poll_commands()
    books.sent = books.sent + 1
    books.in_process = books.in_process + (bus:publish("DEMO_OVER", {}) and 1 or 0)
end

run()
settle()
books.http_accepted, books.http_rejected, books.http_commands = post.n_accepted, post.n_rejected, post.n_commands
books.rounds = game.round - 1
print(json.encode(books))
bus:close()
