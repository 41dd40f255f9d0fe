-- post.lua: events over HTTP in the way of the BalatroMCP mod: a queue, batches of at most 50, a poll for commands.
--
-- Invariant: an event counts as delivered only when the daemon answered 200 with status "ok"; the rest is counted as
-- rejected.

local http = require("socket.http")
local ltn12 = require("ltn12")
local json = require("cjson")

local Post = {}
Post.__index = Post

local function request(method, url, body)
    local chunks = {}
    local headers = { ["User-Agent"] = "BalatroMCP/1.0" }
    if body then
        headers["Content-Type"], headers["Content-Length"] = "application/json", #body
    end
    local _, status = http.request({ method = method, url = url, headers = headers,
        source = body and ltn12.source.string(body), sink = ltn12.sink.table(chunks) })
    return status, table.concat(chunks)
end

function Post.new(base_url, prefix)
    return setmetatable({ url = base_url, prefix = prefix, queue = {}, n_ids = 0, n_accepted = 0, n_rejected = 0,
        n_commands = 0 }, Post)
end

function Post:send(path, body, n_events)
    local status, answer = request("POST", self.url .. path, json.encode(body))
    local ok, reply = pcall(json.decode, answer)
    if status == 200 and ok and reply.status == "ok" then
        self.n_accepted = self.n_accepted + n_events
    else
        self.n_rejected = self.n_rejected + n_events
        io.stderr:write(("HTTP %s: %s\n"):format(tostring(status), answer))
    end
end

--- The mod's first words.
function Post:test_connection()
    self:send("/api/v1/events", { type = "connection_test", timestamp = os.time() * 1000, source = "BalatroMCP",
        data = { message = "Testing event bus connection" } }, 1)
end

function Post:add(kind, payload, extra, uptime_ms)
    self.n_ids = self.n_ids + 1
    self.queue[#self.queue + 1] = { type = kind, payload = payload, source = "BalatroMCP", version = 1,
        event_id = self.prefix .. self.n_ids, timestamp = uptime_ms, subtype = extra.subtype,
            priority = extra.priority }
    if #self.queue == 50 or extra.priority == "high" then
        self:flush()
    end
end

function Post:flush()
    local events = self.queue
    if #events > 0 then
        self.queue = {}
        self:send("/api/v1/events/batch", { batch_id = events[1].event_id, events = events, source = "BalatroMCP",
            timestamp = os.time() * 1000 }, #events)
    end
end

--- Count what the daemon hands out. The table obeys what comes in-process; both ways must carry the same commands.
function Post:poll_commands()
    local status, text = request("GET", self.url .. "/api/v1/commands/poll")
    if status == 200 then
        for _ in text:gmatch("[^\n]+") do
            self.n_commands = self.n_commands + 1
        end
    end
end

return Post
