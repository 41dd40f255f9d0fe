-- jimbot.sub: a subscription and the events it shows, copied out of the ring as Lua strings.
--
-- Invariant: what poll() returns belongs to the caller. Payloads in the ring are borrowed, so they
-- are copied before the cursor moves on; an event is decoded only when somebody asks.
--
-- A subscription that is collected without close() is closed: a forgotten lossless one would stop
-- every publisher.

local BATCH = 64
local LOOKS = 8 -- at a subscription that is evicted again and again
local empty = {} -- what poll() returns when there is nothing: an idle frame makes no garbage

local function create(C, ffi, classes, child)
    local Event = classes.Event or {}
    local Sub = classes.Sub or {}
    classes.Event, classes.Sub = Event, Sub
    Event.__index, Sub.__index = Event, Sub

    local events = ffi.new("jb_event[?]", BATCH)
    local stats = ffi.new("jb_sub_stats")
    local err = ffi.new("jb_error")
    C.jb_error_init(err)
    local name_out = ffi.new("const char *[1]")
    local sub_out = ffi.new("jb_sub *[1]")
    local buffer_bytes = 16384
    local buffer = ffi.new("char[?]", buffer_bytes)
    local type_names = {}

    local function type_name(number)
        local name = type_names[number]
        if not name then
            local text = C.jb_event_type_name(number)
            name = text ~= nil and ffi.string(text) or "EVENT_" .. number
            type_names[number] = name
        end
        return name
    end

    local function topic_name(bus, id)
        local name = bus.topics[id]
        if not name then
            local len = C.jb_bus_topic_name(bus.handle, id, name_out)
            if len < 0 then
                return "?"
            end
            name = ffi.string(name_out[0], len)
            bus.topics[id] = name
        end
        return name
    end

    --- The event as JSON text in a dialect ("balatromcp" when none is named); or nil and one
    -- sentence.
    function Event:to_json(dialect)
        local payload, number = self.payload, 0
        if dialect ~= nil then
            number = C.jb_dialect_find(tostring(dialect), #tostring(dialect))
            if number < 0 then
                return nil, ("%s is no dialect"):format(tostring(dialect))
            end
        end
        local function write()
            local len = C.jb_event_to_json_as(number, payload, #payload, buffer, buffer_bytes, err)
            return tonumber(len)
        end
        local len = write()
        if len > buffer_bytes then
            buffer_bytes = len
            buffer = ffi.new("char[?]", buffer_bytes)
            len = write()
        end
        if len < 0 then
            return nil, ffi.string(err.msg)
        end
        return ffi.string(buffer, len)
    end

    local function copy_event(bus, ev)
        return setmetatable({
            topic = topic_name(bus, ev.topic_id),
            type = type_name(ev.type),
            sequence = tonumber(ev.sequence),
            time_ns = tonumber(ev.time_ns),
            source_time = ev.source_time,
            n_missed = tonumber(ev.n_missed),
            publisher = ev.publisher,
            priority = ev.priority,
            key = ev.key,
            is_request = ev.flags == C.JB_EVENT_IS_REQUEST,
            is_reply = ev.flags == C.JB_EVENT_IS_REPLY,
            payload = ffi.string(ev.payload, ev.len_bytes),
        }, Event)
    end

    -- Copy what lies there behind out[n_out] and take it. Answers how many, the code when the
    -- subscription cannot go on, and the table, made when there is something to put into it.
    local function take(self, max, out, n_out)
        for _ = 1, LOOKS do
            local n = C.jb_sub_peek(self.handle, events, math.min(max - n_out, BATCH))
            if n <= 0 then
                return 0, n, out
            end
            out = out or {}
            for i = 0, n - 1 do
                out[n_out + i + 1] = copy_event(self.bus, events[i])
            end
            local rc = C.jb_sub_advance(self.handle)
            if rc == 0 then
                return n, 0, out
            elseif rc ~= C.JB_EEVICTED then
                return 0, rc, out
            end
            -- Evicted: what was copied may have been overwritten meanwhile, and was not taken.
        end
        return 0, C.JB_EEVICTED, out
    end

    --- Take what has come. Never blocks.
    -- @param max  at most this many, default 64
    -- @param out  a table to fill and return; default a new one, or a shared empty one when nothing
    --             has come
    -- @return a list of events {topic, type, sequence, time_ns, source_time, n_missed, publisher,
    --         priority, key, is_request, is_reply, payload}; and one sentence when the subscription
    --         cannot go on
    function Sub:poll(max, out)
        local n_out, n, rc = 0, 1, 0
        max = max or BATCH
        while self.handle and n > 0 and n_out < max do
            n, rc, out = take(self, max, out, n_out)
            n_out = n_out + n
        end
        if out then
            for i = #out, n_out + 1, -1 do
                out[i] = nil
            end
        end
        if not self.handle then
            return out or empty, "closed"
        end
        return out or empty, rc < 0 and ffi.string(C.jb_strerror(rc)) or nil
    end

    --- Wait until poll() has something. Not for a game's thread.
    -- @return true, or false when the time ran out
    function Sub:wait(seconds)
        return self.handle ~= nil and C.jb_sub_wait(self.handle, seconds * 1e9) == 1
    end

    --- Add a pattern; an event that matches several comes once.
    function Sub:add(pattern)
        local rc = self.handle and C.jb_sub_add(self.handle, pattern, #pattern) or C.JB_ECLOSED
        if rc < 0 then
            return false, ffi.string(C.jb_strerror(rc))
        end
        return true
    end

    --- Counters, as in jb_sub_stats.
    function Sub:stats()
        stats.size = ffi.sizeof(stats)
        if not self.handle or C.jb_sub_get_stats(self.handle, stats) < 0 then
            return nil, "closed"
        end
        return {
            n_delivered = tonumber(stats.n_delivered),
            n_filtered = tonumber(stats.n_filtered),
            n_missed = tonumber(stats.n_missed),
            n_conflated = tonumber(stats.n_conflated),
            n_evicted = tonumber(stats.n_evicted),
            lag_bytes = tonumber(stats.lag_bytes),
            lag_events = tonumber(stats.lag_events),
            evict_after_ns = tonumber(stats.evict_after_ns),
            held_since_ns = tonumber(stats.held_since_ns),
            next_sequence = tonumber(stats.next_sequence),
        }
    end

    --- End the subscription. A second close does nothing.
    function Sub:close()
        child.close(self, self.bus.children, C.jb_sub_close)
    end

    local words = {
        policy = {
            lossless = C.JB_SUB_LOSSLESS,
            latest = C.JB_SUB_LATEST,
            conflate = C.JB_SUB_CONFLATE,
        },
        start = { now = C.JB_SUB_FROM_NOW, oldest = C.JB_SUB_FROM_OLDEST },
        wait = { block = C.JB_WAIT_BLOCK, spin = C.JB_WAIT_SPIN, busy = C.JB_WAIT_BUSY },
    }

    local function fill_options(opts)
        local o = ffi.new("jb_sub_opts")
        C.jb_sub_opts_init(o, ffi.sizeof(o))
        child.choose(o, words, opts)
        o.name = opts.name
        o.spin_ns = opts.spin_ns or o.spin_ns
        o.evict_after_ns = opts.evict_after_ns or 0
        o.flags = opts.high_first and C.JB_SUB_HIGH_FIRST or 0
        return o
    end

    --- Open a subscription on a bus.
    local function open(bus, pattern, opts)
        local ok, o = pcall(fill_options, opts or {})
        if not ok then
            return nil, tostring(o), C.JB_EINVAL
        end
        local rc = C.jb_bus_subscribe(bus.handle, pattern, #pattern, o, sub_out, err)
        if rc < 0 then
            return nil, ffi.string(err.msg), rc
        end
        local handle, id = child.adopt(bus.children, sub_out, C.jb_sub_close)
        local sub = setmetatable({ handle = handle, bus = bus, id = id }, Sub)
        bus.subs[sub] = true
        return sub
    end

    return open, copy_event, type_name
end

return { create = create }
