-- jimbot.client: a bus from afar, over libjimbot-client: the methods of a bus, without waiting.
--
--     local bus = jimbot.connect("ws://127.0.0.1:8080", { rest_fallback = true })
--     bus:publish("MONEY_CHANGED", { old_value = 4, new_value = 9, difference = 5 })
--     for _, command in ipairs(bus:commands()) do obey(command.name, command.params) end
--
-- Invariant: no method but close() waits, none throws, none calls back into Lua. Connecting,
-- sending and listening are done by a thread of the library; publish() and poll() copy. Handles are
-- ended once, by close() or by the collector, subscriptions before their client.

local BATCH = 64
local empty = {}

local states = { [0] = "connecting", [1] = "up", [2] = "backing off" }
local ways = { [0] = "websocket", [1] = "http", [2] = "memory", [3] = "grpc" }

-- The calls of a bus that publish.lua and command.lua make, made on a client.
local function face(C, K)
    local no_error = nil
    return setmetatable({
        jb_bus_publish_encoded = function(handle, encoded)
            return K.jb_client_publish_encoded(handle, encoded)
        end,
        jb_bus_publish_json = function(handle, encoder, text, n, err)
            return K.jb_client_publish_json(handle, encoder, text, n, err)
        end,
        -- The topic of an event with a key is that of its type.
        jb_bus_topic = function()
            return 0
        end,
        jb_bus_publish = function(handle, head, data, n)
            return K.jb_client_publish(handle, nil, 0, head.key, data, n, no_error)
        end,
        jb_bus_send_command = function(handle, command)
            return K.jb_client_send_command(handle, command)
        end,
        jb_sub_peek = function(sub, events, n)
            return K.jb_client_sub_peek(sub, events, n)
        end,
        jb_sub_advance = function(sub)
            return K.jb_client_sub_advance(sub)
        end,
    }, { __index = C })
end

local function create(C, K, ffi, classes, parts)
    local child = parts.child
    local Client, Sub = classes.Client or {}, classes.ClientSub or {}
    classes.Client, classes.ClientSub = Client, Sub
    Client.__index, Sub.__index = Client, Sub
    local Event = classes.Event

    local err = ffi.new("jb_error")
    local events = ffi.new("jb_client_event[?]", BATCH)
    local status, stats = ffi.new("jb_client_status"), ffi.new("jb_client_stats")
    local serial = 0

    local answer = parts.publish.create(face(C, K), ffi, Client, parts.encode)
    parts.command.create(face(C, K), ffi, Client, answer, "jb_client_event")

    local function copy_event(ev)
        return setmetatable({
            topic = ffi.string(ev.topic, ev.topic_bytes),
            type = parts.type_name(ev.type),
            sequence = tonumber(ev.sequence),
            time_utc_ns = tonumber(ev.time_utc_ns),
            source_time = ev.source_time,
            n_missed = tonumber(ev.n_missed),
            publisher = ev.publisher,
            priority = ev.priority,
            key = ev.key,
            is_request = false,
            is_reply = false,
            payload = ffi.string(ev.payload, ev.len_bytes),
        }, Event)
    end

    --- Take what has come. Never blocks.
    -- @param max  at most this many, default and limit 64
    -- @return a list of events as of a bus's subscription, with time_utc_ns for time_ns; and one
    --         sentence when there will be no more
    function Sub:poll(max)
        if not self.handle then
            return empty, "closed"
        end
        local n = K.jb_client_sub_peek(self.handle, events, parts.command.count(max, BATCH))
        if n <= 0 then
            return empty, n < 0 and ffi.string(C.jb_strerror(n)) or nil
        end
        local list = {}
        for i = 0, n - 1 do
            list[i + 1] = copy_event(events[i])
        end
        K.jb_client_sub_advance(self.handle)
        return list
    end

    --- Whether the server delivers to it now.
    function Sub:is_live()
        return self.handle ~= nil and K.jb_client_sub_is_live(self.handle) == 1
    end

    --- Wait until poll() has something. Not for a game's thread.
    function Sub:wait(seconds)
        return self.handle ~= nil and K.jb_client_sub_wait(self.handle, seconds * 1e9) == 1
    end

    --- End the subscription. A second close does nothing.
    function Sub:close()
        self.client.subs[self] = nil
        child.close(self, self.client.children, K.jb_client_sub_close)
    end

    local words = {
        policy = {
            lossless = C.JB_CLIENT_LOSSLESS,
            latest = C.JB_CLIENT_LATEST,
            conflate = C.JB_CLIENT_CONFLATE,
        },
        start = { now = C.JB_CLIENT_FROM_NOW, oldest = C.JB_CLIENT_FROM_OLDEST },
    }

    local function sub_options(opts)
        local o = ffi.new("jb_client_sub_opts")
        K.jb_client_sub_opts_init(o, ffi.sizeof(o))
        child.choose(o, words, opts)
        if opts.start_sequence then
            o.start, o.start_sequence = C.JB_CLIENT_FROM_SEQUENCE, opts.start_sequence
        end
        o.max_unacked = opts.max_unacked or o.max_unacked
        o.buffer_bytes = opts.buffer_bytes or o.buffer_bytes
        return o
    end

    --- Subscribe to a pattern, or several with commas between them.
    -- @param opts  policy: "latest" (default), "lossless" or "conflate"; start: "now" (default) or
    --              "oldest"; or start_sequence; max_unacked, buffer_bytes
    -- @return a subscription, or nil and one sentence
    function Client:subscribe(pattern, opts)
        if not self.handle then
            return nil, "closed"
        elseif type(pattern) ~= "string" then
            return nil, "the pattern is not a text"
        end
        local ok, o = pcall(sub_options, opts or {})
        if not ok then
            return nil, tostring(o), C.JB_EINVAL
        end
        C.jb_error_init(err)
        local out = ffi.new("jb_client_sub *[1]")
        local rc = K.jb_client_subscribe(self.handle, pattern, #pattern, o, out, err)
        if rc < 0 then
            return nil, ffi.string(err.msg), rc
        end
        local handle, id = child.adopt(self.children, out, K.jb_client_sub_close)
        local sub = setmetatable({ handle = handle, client = self, id = id }, Sub)
        self.subs[sub] = true
        return sub
    end

    --- "connecting", "up", "backing off" or "closed".
    function Client:state()
        return self.handle and states[K.jb_client_get_state(self.handle)] or "closed"
    end

    --- { state, way ("websocket", "http", "memory"), seconds (in this state), failures, error }.
    function Client:status()
        if not self.handle then
            return { state = "closed" }
        end
        status.size = ffi.sizeof(status)
        K.jb_client_get_status(self.handle, status)
        return {
            state = states[status.state],
            way = ways[status.way],
            seconds = tonumber(C.jb_clock_now_ns() - status.since_ns) / 1e9,
            failures = status.n_failures,
            error = status.last_error.code ~= 0 and ffi.string(status.last_error.msg) or nil,
        }
    end

    --- Counters: those of jb_client_stats without their n_, and this handle's own.
    function Client:stats()
        stats.size = ffi.sizeof(stats)
        if not self.handle or K.jb_client_get_stats(self.handle, stats) < 0 then
            return nil, "closed"
        end
        local list = { commands = self.n_commands, commands_missed = self.n_commands_missed }
        for name in ("waiting waiting_bytes published accepted duplicates refused dropped full retries "
            .. "received missed connects faults"):gmatch("%S+") do
            list[name] = tonumber(stats["n_" .. name])
        end
        return list
    end

    --- Close; what waits has so many seconds to leave, default none.
    -- @return how many events were not known to be on the bus
    function Client:close(seconds)
        local handle = self.handle
        if not handle then
            return 0
        end
        for sub in pairs(self.subs) do
            sub:close() -- what somebody still holds must not reach the library any more
        end
        self.handle, self.encoder = nil, nil
        return self.finish(ffi.gc(handle, nil), (seconds or 0) * 1e9)
    end

    local function new_client(handle, encoder, finish, children, opts)
        serial = serial + 1
        local client = { handle = handle, encoder = encoder, finish = finish, children = children }
        client.subs = setmetatable({}, { __mode = "k" })
        client.source = opts.source
        client.id_prefix = parts.id_prefix(serial) .. "c"
        client.n_ids, client.n_published, client.n_full, client.n_failed = 0, 0, 0, 0
        client.n_skipped, client.n_repairs, client.n_commands = 0, 0, 0
        client.n_commands_bad, client.n_commands_missed = 0, 0
        return setmetatable(client, Client)
    end

    return parts.client_open.create(C, K, ffi, new_client, parts.encoder_options)
end

return { create = create }
