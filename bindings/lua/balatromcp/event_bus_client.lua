-- event_bus_client: stands in for the file of the same name in the BalatroMCP mod, and puts its
-- events on the bus of this machine in-process rather than posting them over HTTP.
--
-- Invariant: no method throws, blocks or touches math.random (the game's own). Events leave in the
-- order they came. One that cannot leave now waits in a bounded buffer; one that is lost (buffer
-- full, no library, not an event) is counted in get_status(), never silently.
--
-- The mod calls init, test_connection, send_event, send_event_sync, send_batch, process_queue,
-- buffer_event, flush_buffer, update, generate_uuid, get_status and check_health. New here: flush,
-- poll_commands, set_command_handler, reset, shutdown. The transport's inside (http_post,
-- parse_url, event_to_json, batch_to_json, retry_manager) has no counterpart.
--
-- Longer than other files of Lua here: a mod is moved in-process by replacing this one file.

local own_name = ...

local EventBusClient = {
    url = nil,
    connected = false,
    connection_tested = false,
    sending = false,
    logger = nil,
    event_queue = {}, -- always empty: there is one buffer, below
    local_buffer = {},
    max_buffer_size = 1000,
    flush_per_update = 50,
    reconnect_s = 5,
}

local counters = { "sent", "buffered", "dropped", "rejected" }

-- Names under which the mod's action executor looks for the one parameter of a command.
local parameter_names = {
    select_deck = "deck",
    select_stake = "stake",
    navigate_menu = "action",
    select_card = "card_index",
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

-- The jimbot module lies next to this file in the mod, or is installed for all of Lua.
local function find_module(wanted)
    local folder = type(own_name) == "string" and own_name:match("^(.*)%.[^.]+$")
    local names = { wanted or "jimbot", folder and folder .. ".jimbot" or "jimbot" }
    for _, name in ipairs(names) do
        local ok, module = pcall(require, name)
        if ok and type(module) == "table" then
            return module
        end
    end
end

--- Prepare the client. Options: those of the mod (event_bus_url, max_buffer_size), and jimbot_bus
-- (name of the bus, default $JIMBOT_BUS or "jimbot"), jimbot_library (path), jimbot_module (name to
-- require), jimbot_direct (true: send_event does not go through the mod's aggregator).
function EventBusClient:init(config)
    config = type(config) == "table" and config or {}
    self:shutdown()
    self.url = config.event_bus_url
    self.max_buffer_size = config.max_buffer_size or 1000
    self.bus_name = config.jimbot_bus or os.getenv("JIMBOT_BUS") or "jimbot"
    self.library = config.jimbot_library
    self.direct = config.jimbot_direct
    self.logger = config.logger or components().logger
    self.jimbot = find_module(config.jimbot_module)
    self:reset()
end

--- Forget what is buffered and start the counters again.
function EventBusClient:reset()
    self.local_buffer, self.event_queue = {}, {}
    for _, name in ipairs(counters) do
        self["events_" .. name] = 0
    end
    self.consecutive_failures, self.since_attempt_s = 0, 0
end

local function connect(self)
    if self.bus then
        return true
    end
    local opts = { library = self.library, source = "BalatroMCP", peer_name = "BalatroMCP" }
    local why = "the jimbot module is not installed"
    if self.jimbot then
        self.bus, why = self.jimbot.open(self.bus_name, opts)
    end
    self.connected = self.bus ~= nil
    self.has_library = self.jimbot ~= nil and self.jimbot.available()
    self.last_error = not self.bus and why or nil
    self.since_attempt_s = 0
    return self.connected
end

--- Open the bus and publish a connection_test event.
function EventBusClient:test_connection()
    self.connection_tested = true
    if not connect(self) then
        log(self, "error", "Event bus is not available", { error = self.last_error })
        return false
    end
    log(self, "info", "Event bus is open", { bus = self.bus_name })
    local data = { message = "Testing event bus connection" }
    self:send_batch({ { type = "connection_test", data = data } })
    return true
end

local function complete(self, event)
    event.event_id = event.event_id or self:generate_uuid()
    event.timestamp = event.timestamp or os.time() * 1000
    event.source = event.source or "BalatroMCP"
    event.version = event.version or 1
end

-- Publishes one event: true, or false when it should be tried again. What can never be published
-- counts as done.
local function publish(self, event)
    local ok, why, code = self.bus:publish_event(event)
    if ok then
        self.events_sent = self.events_sent + 1
        self.consecutive_failures = 0
        return true
    end
    self.last_error = why
    if why == "full" then
        self.consecutive_failures = self.consecutive_failures + 1
        return false
    end
    self.events_rejected = self.events_rejected + 1
    log(self, "error", "Event refused", { type = event.type, error = why, code = code })
    return true
end

--- Keep an event for later; the oldest one goes when there is no room.
function EventBusClient:buffer_event(event)
    local buffer = self.local_buffer
    if #buffer >= self.max_buffer_size then
        table.remove(buffer, 1)
        self.events_dropped = self.events_dropped + 1
    end
    buffer[#buffer + 1] = event
    self.events_buffered = self.events_buffered + 1
end

local function send(self, event)
    if type(event) ~= "table" then
        self.events_rejected = self.events_rejected + 1
        return false
    end
    if not self.has_library then
        self.events_dropped = self.events_dropped + 1 -- nothing will ever take them
        return false
    end
    complete(self, event)
    if #self.local_buffer > 0 or not self.bus or not publish(self, event) then
        self:buffer_event(event)
        return false
    end
    return true
end

--- Send several events, in order. True when all left; those that did not are buffered.
function EventBusClient:send_batch(events)
    if not self.connection_tested then
        self:test_connection()
    end
    self:flush_buffer()
    local all = true
    for _, event in ipairs(type(events) == "table" and events or {}) do
        all = send(self, event) and all
    end
    return all
end

--- Send one event: through the mod's aggregator where there is one, as the mod's client does.
function EventBusClient:send_event(event)
    local aggregator = components().aggregator
    if aggregator and not self.direct then
        return (pcall(aggregator.add_event, aggregator, event))
    end
    return self:send_batch({ event })
end

--- Send one event now.
function EventBusClient:send_event_sync(event)
    return self:send_batch({ event })
end

--- Publish what is buffered, at most max events (default: flush_per_update, so that a frame stays
-- short after a long stop).
function EventBusClient:flush_buffer(max)
    local buffer = self.local_buffer
    local n, limit = 0, math.min(max or self.flush_per_update, #buffer)
    while self.bus and n < limit and publish(self, buffer[n + 1]) do
        n = n + 1
    end
    if n > 0 then
        local left = #buffer - n
        for i = 1, left do
            buffer[i] = buffer[i + n]
        end
        for i = #buffer, left + 1, -1 do
            buffer[i] = nil
        end
    end
    return n
end

--- Publish everything that is buffered, if it goes.
function EventBusClient:flush()
    self:flush_buffer(math.huge)
    return #self.local_buffer == 0
end

function EventBusClient:process_queue()
    self:flush_buffer()
end

-- A command as the mod's HTTP poll would have given it ("select_card:3"), with its parameters both
-- as a list of texts and under the name the mod's executor looks for.
local function translate(command)
    local params = command.params
    local first = params[1]
    if first then
        params[parameter_names[command.name] or "index"] = tonumber(first) or first
    end
    local text = command.name .. (first and ":" .. table.concat(params, ",") or "")
    return { type = command.name, params = params, text = text, id = command.id }
end

--- Take the commands that agents sent. Never blocks.
-- @return a list of { type = "select_card", params = { "3", card_index = 3 },
--         text = "select_card:3", id = "" }
function EventBusClient:poll_commands()
    local list = {}
    for i, command in ipairs(self.bus and self.bus:commands() or list) do
        list[i] = translate(command)
    end
    return list
end

--- Have update() hand every command to a function (type, params, command); nil ends that. Do not
-- poll the host daemon over HTTP as well: it delivers the same commands.
function EventBusClient:set_command_handler(handler)
    self.command_handler = handler
end

--- Once per frame: buffered events go out, commands come in, a bus that could not be opened is
-- tried again every few seconds.
function EventBusClient:update(dt)
    if not self.bus then
        self.since_attempt_s = (self.since_attempt_s or 0) + (tonumber(dt) or 0)
        if self.has_library and self.since_attempt_s >= self.reconnect_s then
            connect(self)
        end
        return
    end
    if #self.local_buffer > 0 then
        self:flush_buffer()
    end
    if self.command_handler then
        for _, command in ipairs(self:poll_commands()) do
            local ok, why = pcall(self.command_handler, command.type, command.params, command)
            if not ok then
                log(self, "error", "Command failed", { command = command.text, error = why })
            end
        end
    end
end

local n_ids = 0

--- An id for an event; unique, not random.
function EventBusClient:generate_uuid()
    if self.bus then
        return self.bus:next_id()
    end
    n_ids = n_ids + 1
    return ("%x-%s-%d"):format(os.time(), tostring({}):match("%x+$"), n_ids)
end

--- What the mod's client reports, and the counters sent, buffered, dropped and rejected.
function EventBusClient:get_status()
    local status = {
        connected = self.connected,
        event_queue_size = 0,
        local_buffer_size = #self.local_buffer,
        circuit_breaker = {
            is_open = not self.connected,
            half_open = false,
            failure_count = self.consecutive_failures or 0,
            consecutive_failures = self.consecutive_failures or 0,
            active_retries = 0,
            can_attempt = self.connected,
        },
        url = self.url,
        bus = self.bus_name,
        last_error = self.last_error,
        stats = self.bus and self.bus:stats() or nil,
    }
    for _, name in ipairs(counters) do
        status["events_" .. name] = self["events_" .. name] or 0
    end
    return status
end

--- @return true, "Healthy"; or false and one sentence.
function EventBusClient:check_health()
    if self.bus then
        return true, "Healthy"
    end
    return false, self.last_error or "not connected"
end

--- Send what is buffered if it goes, and close the bus.
function EventBusClient:shutdown()
    if self.bus then
        self:flush()
        self.bus:close()
    end
    self.bus, self.connected, self.connection_tested = nil, false, false
end

return EventBusClient
