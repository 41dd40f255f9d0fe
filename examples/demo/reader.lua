-- reader.lua: a Lua program that reads every event of the demo and says what it saw.
--
-- usage: luajit reader.lua BUS. Prints "ready", later its books as one JSON object.

local json = require("cjson")
local jimbot = require("jimbot")

local bus = assert(jimbot.open(arg[1], { peer_name = "Lua reader", commands = false }))
local sub = assert(bus:subscribe(">", { name = "Lua reader" }))
print("ready")
io.stdout:flush()

local books = { events = 0, missed = 0, gaps = 0, bad_json = 0 }
local last = sub:stats().n_delivered
local over = false
while not over do
    if sub:wait(1) then
        for _, event in ipairs(sub:poll(256)) do
            books.events = books.events + 1
            books.missed = books.missed + event.n_missed
            books.gaps = books.gaps + (event.sequence == last + 1 and 0 or 1)
            last = event.sequence
            local text = event:to_json()
            if not text or type(json.decode(text)) ~= "table" then
                books.bad_json = books.bad_json + 1
            end
            over = over or event.topic == "custom.demo_over"
        end
    end
end
print(json.encode(books))
sub:close()
bus:close()
