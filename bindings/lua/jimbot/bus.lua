-- jimbot.bus: one open handle of a bus: what it is made of, how it ends, its counters.
--
-- Invariant: handles are ended once, by close() or by the collector, subscriptions before their
-- bus. The bus's finalizer closes its children by their bare pointers, because at the end of a Lua
-- state finalizers run in any order.

local function create(C, ffi, classes, parts)
    local Bus = classes.Bus or {}
    classes.Bus = Bus
    Bus.__index = Bus

    local err = ffi.new("jb_error")
    C.jb_error_init(err)
    local stats = ffi.new("jb_bus_stats")
    local repairs = ffi.new("jb_encoder_stats")
    local serial = 0

    local answer = parts.publish.create(C, ffi, Bus, parts.encode)
    parts.command.create(C, ffi, Bus, answer)
    parts.batch.create(C, ffi, Bus, answer)
    parts.request.create(C, ffi, classes, Bus, answer, parts.copy_event, parts.child)
    parts.worker.create(C, ffi, classes, Bus, parts.copy_event, parts.child)

    --- Subscribe to a pattern, "game.*.changed" or "learning.>".
    -- @param opts  policy: "lossless" (default: publishers wait for you), "latest" or "conflate" (of
    --              each topic and key the newest); start: "now" (default) or "oldest"; high_first:
    --              true for events of high priority before all others; evict_after_ns: for how long
    --              publishers wait for you; wait: "block", "spin" (default) or "busy", and spin_ns,
    --              how wait() waits; name: text
    -- @return a subscription, or nil and one sentence
    function Bus:subscribe(pattern, opts)
        if not self.handle then
            return nil, "closed"
        elseif type(pattern) ~= "string" then
            return nil, "the pattern is not a text"
        end
        return parts.open_sub(self, pattern, opts)
    end

    --- Counters: of the whole bus (bus_published, bus_full, bus_over_budget, bus_revoked, peers,
    -- subs, topics, used_bytes, capacity_bytes, stall_after_ns), and of this handle (published, full,
    -- failed, skipped, repairs, commands, commands_bad, commands_missed).
    function Bus:stats()
        stats.size = ffi.sizeof(stats)
        if not self.handle or C.jb_bus_get_stats(self.handle, stats) < 0 then
            return nil, "closed"
        end
        return {
            bus_published = tonumber(stats.n_published),
            bus_full = tonumber(stats.n_full),
            bus_over_budget = tonumber(stats.n_over_budget),
            bus_revoked = tonumber(stats.n_revoked),
            stall_after_ns = tonumber(stats.stall_after_ns),
            peers = stats.n_peers,
            subs = stats.n_subs,
            topics = stats.n_topics,
            used_bytes = tonumber(stats.used_bytes),
            capacity_bytes = tonumber(stats.capacity_bytes),
            published = self.n_published,
            full = self.n_full,
            failed = self.n_failed,
            skipped = self.n_skipped,
            repairs = self.n_repairs,
            commands = self.n_commands,
            commands_bad = self.n_commands_bad,
            commands_missed = self.n_commands_missed,
        }
    end

    --- What was wrong with what was published here and was survived: how often, by kind (non_finite,
    -- control_bytes, bad_utf8, half_surrogates, coerced, spellings, empty_lists, duplicate_keys).
    function Bus:repairs()
        repairs.size = ffi.sizeof(repairs)
        if not self.encoder or C.jb_encoder_get_stats(self.encoder, repairs) < 0 then
            return nil, "closed"
        end
        local counts = {}
        for _, kind in ipairs({ "non_finite", "control_bytes", "bad_utf8", "half_surrogates",
            "coerced", "spellings", "empty_lists", "duplicate_keys" }) do
            counts[kind] = tonumber(repairs["n_" .. kind])
        end
        return counts
    end

    --- Close the bus and everything opened on it. A second close does nothing.
    function Bus:close()
        local handle = self.handle
        if handle then
            for sub in pairs(self.subs) do
                sub:close()
            end
            self.handle, self.encoder = nil, nil
            self.finish(ffi.gc(handle, nil))
        end
    end

    -- Knows the bare pointers only: with the object in reach it would never be collected.
    local function finalizer(children, askers, workers, encoder)
        return function(handle)
            for id, requester in pairs(askers) do
                askers[id] = nil
                C.jb_requester_close(requester)
            end
            for id, sub in pairs(children) do
                children[id] = nil
                C.jb_sub_close(sub)
            end
            for id, worker in pairs(workers) do
                workers[id] = nil
                C.jb_worker_leave(worker)
            end
            C.jb_encoder_destroy(encoder)
            C.jb_bus_close(handle)
        end
    end

    local function fill_options(opts)
        local o = ffi.new("jb_bus_opts")
        C.jb_bus_opts_init(o, ffi.sizeof(o))
        for _, field in ipairs({ "capacity_bytes", "max_topics", "max_subs", "max_peers",
            "max_groups", "stall_after_ns", "budget_bytes" }) do
            o[field] = opts[field] or o[field]
        end
        o.flags = opts.keep and C.JB_BUS_KEEP or 0
        o.peer_name = opts.peer_name
        return o
    end

    local function process_id()
        local ok, pid = pcall(function()
            pcall(ffi.cdef, "int getpid(void);")
            return ffi.C.getpid()
        end)
        return ok and pid or 0
    end

    local function id_prefix(count)
        local us = tonumber(C.jb_clock_utc_ns() / 1000)
        return ("%x-%x%05x-%x-"):format(process_id(), us / 1048576, us % 1048576, count)
    end

    local function new_bus(handle, encoder, source)
        serial = serial + 1
        local children, askers, workers = {}, {}, {}
        local finish = finalizer(children, askers, workers, encoder)
        return setmetatable({
            handle = ffi.gc(handle, finish),
            encoder = encoder,
            finish = finish,
            children = children, -- id -> bare pointer of each open subscription
            askers = askers, -- the same of each requester
            workers = workers, -- and of each worker
            subs = setmetatable({}, { __mode = "k" }),
            topics = {}, -- id -> name, as they are met
            source = source,
            id_prefix = id_prefix(serial),
            n_ids = 0,
            n_published = 0,
            n_full = 0,
            n_failed = 0,
            n_skipped = 0,
            n_repairs = 0,
            n_commands = 0,
            n_commands_bad = 0,
            n_commands_missed = 0,
        }, Bus)
    end

    local function open_handle(name, opts)
        local call = C.jb_bus_open
        if opts.mode == "create" then
            call = C.jb_bus_create
        elseif opts.mode == "attach" then
            call = C.jb_bus_attach
        end
        local out = ffi.new("jb_bus *[1]")
        local rc = call(name, fill_options(opts), out, err)
        if rc < 0 then
            return nil, ffi.string(err.msg[0] ~= 0 and err.msg or C.jb_strerror(rc)), rc
        end
        return out[0]
    end

    -- What is published is spelled in a dialect.
    local function encoder_options(opts)
        local options, dialect = ffi.new("jb_encoder_opts"), opts.dialect
        C.jb_encoder_opts_init(options, ffi.sizeof(options))
        options.flags = (opts.strict and C.JB_ENCODER_STRICT or 0)
            + (opts.canonical and C.JB_ENCODER_CANONICAL or 0)
        if dialect ~= nil then
            local number = C.jb_dialect_find(tostring(dialect), #tostring(dialect))
            if number < 0 then
                return nil, ("%s is no dialect"):format(tostring(dialect))
            end
            options.dialect = number
        end
        return options
    end

    local function open(name, opts)
        if name ~= nil and type(name) ~= "string" then
            return nil, "the bus's name is not a text", C.JB_EINVAL
        end
        local encoder = ffi.new("jb_encoder *[1]")
        local encoding, complaint = encoder_options(opts)
        if not encoding then
            return nil, complaint, C.JB_EINVAL
        end
        local handle, why, code = open_handle(name, opts)
        if not handle then
            return nil, why, code
        end
        local rc = C.jb_encoder_create(encoding, encoder, err)
        if rc < 0 then
            C.jb_bus_close(handle)
            return nil, ffi.string(C.jb_strerror(rc)), rc
        end
        local bus = new_bus(handle, encoder[0], opts.source)
        if opts.commands ~= false then
            -- Opened with the bus, so that a command sent before the first commands() is there.
            local sub_opts = { policy = "latest", name = "commands" }
            bus.command_sub, why, code = bus:subscribe("command.>", sub_opts)
            if not bus.command_sub then
                bus:close()
                return nil, why, code
            end
        end
        return bus
    end

    return open, id_prefix, encoder_options
end

return { create = create }
