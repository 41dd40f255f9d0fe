-- jimbot.mod_client: an event bus client with the methods of the BalatroMCP mod's own, which puts
-- the mod's events on the bus: in-process, or with jimbot_url over the network in the background. The
-- mod gets it through balatromcp/event_bus_client.lua.
--
-- Invariant: no method throws, blocks or touches math.random (the game's own); every event is sent,
-- waiting or counted in get_status().
--
-- The mod calls init, test_connection, send_event, send_event_sync, send_batch, process_queue,
-- buffer_event, flush_buffer, update, generate_uuid, get_status and check_health. New here: flush,
-- poll_commands, set_command_handler, reset, shutdown. The transport's inside (http_post,
-- parse_url, event_to_json, batch_to_json, retry_manager) has no counterpart.

local name = ...
local prefix = type(name) == "string" and name:match("^(.*)%.mod_client$") or "jimbot"
local jimbot = require(prefix)
local Outbox = require(prefix .. ".outbox")
local reach = require(prefix .. ".reach")
local translate = require(prefix .. ".command").for_mod

local Client = {
    connected = false,
    connection_tested = false,
    flush_per_update = 50,
    reconnect_s = 5,
    max_buffer_size = 1000,
    event_queue = {}, -- always empty: what waits is in local_buffer
}

local function log(self, level, message, details)
    local logger = self.logger
    if type(logger) == "table" and type(logger[level]) == "function" then
        pcall(logger[level], logger, message, details)
    end
end

local function components()
    local mod = rawget(_G, "BalatroMCP")
    return type(mod) == "table" and type(mod.components) == "table" and mod.components or {}
end

--- Prepare the client. Options: those of the mod (event_bus_url, max_buffer_size), and jimbot_bus
-- (name of the bus, default $JIMBOT_BUS or "jimbot"), jimbot_url (where to go when there is no such
-- bus here; true: where event_bus_url points), jimbot_token, jimbot_library, jimbot_client_library,
-- jimbot_direct (true: send_event does not go through the mod's aggregator), logger.
function Client:init(config)
    config = type(config) == "table" and config or {}
    self:shutdown()
    self.url = config.event_bus_url
    self.max_buffer_size = tonumber(config.max_buffer_size) or 1000
    self.bus_name = config.jimbot_bus or os.getenv("JIMBOT_BUS") or "jimbot"
    self.config = config
    self.direct = config.jimbot_direct
    self.logger = config.logger or components().logger
    self:reset()
end

--- Forget what waits and start the counters again.
function Client:reset()
    self.outbox = Outbox.new(self.max_buffer_size)
    self.local_buffer = self.outbox.waiting
    self.since_attempt_s = 0
end

local function connect(self)
    local name = self.bus_name or "jimbot"
    self.bus, self.open_error = reach.open(jimbot, name, self.config or {})
    self.connected = reach.is_up(self.bus)
    self.has_library = jimbot.available()
    self.since_attempt_s = 0
    return self.bus ~= nil
end

--- Open the bus and publish a connection_test event.
function Client:test_connection()
    self.connection_tested = true
    if not self.bus and not connect(self) then
        log(self, "error", "Event bus is not available", { error = self.open_error })
        return false
    end
    log(self, "info", "Event bus is open", { bus = self.bus_name })
    local data = { message = "Testing event bus connection" }
    self:send_batch({ { type = "connection_test", data = data } })
    return true
end

-- Members that the mod's own client adds, on the event itself: one that waits keeps its id and
-- time.
local function complete(self, event)
    event.event_id = event.event_id or self:generate_uuid()
    event.timestamp = event.timestamp or os.time() * 1000
    event.source = event.source or "BalatroMCP"
    event.version = event.version or 1
end

--- Let an event wait for the next update.
function Client:buffer_event(event)
    self.outbox:push(event)
end

--- Send several events, in order. True when all left; those that did not wait for update().
function Client:send_batch(events)
    if not self.connection_tested then
        self:test_connection()
    end
    self:flush_buffer()
    local outbox, all = self.outbox, true
    for _, event in ipairs(type(events) == "table" and events or {}) do
        local rejected = outbox.rejected
        if not self.has_library then
            outbox.dropped = outbox.dropped + 1 -- nothing will ever take them
            all = false
        else
            if type(event) == "table" then
                complete(self, event)
            end
            all = outbox:send(self.bus, event) and all
        end
        if outbox.rejected > rejected then
            log(self, "error", "Event refused", { error = outbox.last_error })
        end
    end
    return all
end

--- Send one event: through the mod's aggregator where there is one, as the mod's client does.
function Client:send_event(event)
    local aggregator = components().aggregator
    if aggregator and not self.direct then
        return (pcall(aggregator.add_event, aggregator, event))
    end
    return self:send_batch({ event })
end

--- Send one event now.
function Client:send_event_sync(event)
    return self:send_batch({ event })
end

--- Publish what waits, at most max events (default flush_per_update, so that a frame stays short
-- after a long stop).
function Client:flush_buffer(max)
    return self.outbox:flush(self.bus, max or self.flush_per_update)
end

--- Publish all that waits. True when nothing does any longer.
function Client:flush()
    self:flush_buffer(math.huge)
    return #self.local_buffer == 0
end

function Client:process_queue()
    self:flush_buffer()
end

--- Take the commands that agents sent. Never blocks.
-- @return a list of { type = "select_card", params = { "3", card_index = 3 },
--         text = "select_card:3", id = "" }
function Client:poll_commands()
    local list = {}
    for i, command in ipairs(self.bus and self.bus:commands() or list) do
        list[i] = translate(command)
    end
    return list
end

--- Have update() hand every command to a function (type, params, command); nil ends that. Do not
-- poll the host daemon over HTTP as well: it delivers the same commands.
function Client:set_command_handler(handler)
    self.command_handler = handler
end

--- Once per frame: what waits goes out, commands come in, a bus that could not be opened is tried
-- again every few seconds.
function Client:update(dt)
    if not self.bus then
        self.since_attempt_s = self.since_attempt_s + (tonumber(dt) or 0)
        if self.has_library and self.since_attempt_s >= self.reconnect_s then
            connect(self)
        end
        return
    end
    self.connected = reach.is_up(self.bus)
    if #self.local_buffer > 0 then
        self:flush_buffer()
    end
    for _, command in ipairs(self.command_handler and self:poll_commands() or {}) do
        local ok, why = pcall(self.command_handler, command.type, command.params, command)
        if not ok then
            log(self, "error", "Command failed", { command = command.text, error = why })
        end
    end
end

local n_ids = 0

--- An id for an event; unique, not random.
function Client:generate_uuid()
    if self.bus then
        return self.bus:next_id()
    end
    n_ids = n_ids + 1
    return ("%x-%s-%d"):format(os.time(), tostring(self):match("%x+$"), n_ids)
end

--- What the mod's client reports, and events_sent, _buffered, _dropped and _rejected.
function Client:get_status()
    local outbox = self.outbox
    return {
        connected = self.connected,
        event_queue_size = 0,
        local_buffer_size = #outbox.waiting,
        circuit_breaker = {
            is_open = not self.connected,
            half_open = false,
            failure_count = outbox.full_in_a_row,
            consecutive_failures = outbox.full_in_a_row,
            active_retries = 0,
            can_attempt = self.connected,
        },
        url = self.url,
        bus = self.bus_name,
        last_error = self.open_error or outbox.last_error or reach.problem(self.bus),
        stats = self.bus and self.bus:stats() or nil,
        events_sent = outbox.sent,
        events_buffered = outbox.buffered,
        events_dropped = outbox.dropped,
        events_rejected = outbox.rejected,
    }
end

--- @return true, "Healthy"; or false and one sentence.
function Client:check_health()
    if reach.is_up(self.bus) then
        return true, "Healthy"
    end
    return false, self.open_error or reach.problem(self.bus) or "not connected"
end

--- Send what waits if it goes (over the network within half a second), and close the bus.
function Client:shutdown()
    if self.bus then
        self:flush()
        self.outbox.dropped = self.outbox.dropped + (self.bus:close(0.5) or 0)
    end
    self.bus, self.connected, self.connection_tested = nil, false, false
end

Client:reset()

return Client
