-- jimbot.worker: a worker of a consumer group: each event goes to one worker, which acknowledges
-- it.
--
-- Invariant: what take() returns is a copy, and the event stays the worker's until ack(), nack() or
-- leave(). A worker that is collected without leave() leaves: what it had goes to another.

local BATCH = 64
local empty = {}

local function create(C, ffi, classes, Bus, copy_event, child)
    local Worker = classes.Worker or {}
    classes.Worker = Worker
    Worker.__index = Worker

    local events = ffi.new("jb_event[?]", BATCH)
    local err = ffi.new("jb_error")
    C.jb_error_init(err)
    local out = ffi.new("jb_worker *[1]")
    local stats = ffi.new("jb_group_stats")

    local function failure(rc)
        return false, ffi.string(C.jb_strerror(rc)), rc
    end

    --- Take events that no other worker has. Never blocks; not for a game's thread.
    -- @param max  at most this many, 1 .. 64, default 64
    -- @return a list of events as Sub:poll() makes them, with n_deliveries: more than 1 when a
    --         worker had it before and did not acknowledge it; and one sentence when it cannot go on
    function Worker:take(max)
        if not self.handle then
            return empty, "closed"
        end
        local n = C.jb_worker_take(self.handle, events, math.max(1, math.min(max or BATCH, BATCH)))
        if n <= 0 then
            return empty, n < 0 and ffi.string(C.jb_strerror(n)) or nil
        end
        local list = {}
        for i = 0, n - 1 do
            list[i + 1] = copy_event(self.bus, events[i])
            list[i + 1].n_deliveries = events[i].n_deliveries
        end
        return list
    end

    local function finish(self, event, call)
        local sequence = type(event) == "table" and event.sequence or event
        if type(sequence) ~= "number" then
            return failure(C.JB_EINVAL)
        end
        local rc = self.handle and call(self.handle, sequence) or C.JB_ECLOSED
        if rc < 0 then
            return failure(rc)
        end
        return true
    end

    --- Say that an event is done with.
    -- @param event  one that take() returned, or its sequence
    -- @return true; or false, one sentence and a code of jimbot.err: Timeout or Evicted when it is
    --         too late, State when this worker does not have it
    function Worker:ack(event)
        return finish(self, event, C.jb_worker_ack)
    end

    --- Give an event back at once, for any worker to take. Answers as ack().
    function Worker:nack(event)
        return finish(self, event, C.jb_worker_nack)
    end

    --- Say that everything taken is done with.
    -- @return how many events that were
    function Worker:ack_all()
        return self.handle and math.max(C.jb_worker_ack_all(self.handle), 0) or 0
    end

    --- Wait until take() is worth a call. Not for a game's thread.
    -- @return true, or false when the time ran out
    function Worker:wait(seconds)
        return self.handle ~= nil and C.jb_worker_wait(self.handle, seconds * 1e9) == 1
    end

    --- Leave the group; what was not acknowledged goes to another. A second leave does nothing.
    function Worker:leave()
        child.close(self, self.bus.workers, C.jb_worker_leave)
    end
    Worker.close = Worker.leave -- as the bus calls what was opened on it

    local function fill_options(opts)
        local o = ffi.new("jb_group_opts")
        C.jb_group_opts_init(o, ffi.sizeof(o))
        o.start = opts.start == "oldest" and C.JB_SUB_FROM_OLDEST or C.JB_SUB_FROM_NOW
        o.ack_timeout_ns = opts.ack_timeout_ns or 0
        o.evict_after_ns = opts.evict_after_ns or 0
        return o
    end

    --- Become a worker of a consumer group, which the first one makes: each event of the pattern goes
    -- to one of its workers. Not for a game's thread.
    -- @param opts  of the one who makes it; start: "now" (default) or "oldest"; ack_timeout_ns:
    --              after which an event that was not acknowledged goes to another;
    --              evict_after_ns: for how long publishers wait for the group
    -- @return a worker, or nil, one sentence and a code
    function Bus:join(name, pattern, opts)
        if not self.handle then
            return nil, "closed"
        elseif type(name) ~= "string" or type(pattern) ~= "string" then
            return nil, "the group's name or the pattern is not a text"
        end
        local o = fill_options(opts or {})
        local rc = C.jb_group_join(self.handle, name, pattern, #pattern, o, out, err)
        if rc < 0 then
            return nil, ffi.string(err.msg), rc
        end
        local handle, id = child.adopt(self.workers, out, C.jb_worker_leave)
        local worker = setmetatable({ handle = handle, bus = self, id = id }, Worker)
        self.subs[worker] = true
        return worker
    end

    --- End a consumer group that has no worker.
    -- @return true; or false, one sentence and a code
    function Bus:remove_group(name)
        local rc = self.handle and C.jb_group_remove(self.handle, name) or C.JB_ECLOSED
        if rc < 0 then
            return failure(rc)
        end
        return true
    end

    local function figures()
        local group = { name = ffi.string(stats.name), pattern = ffi.string(stats.pattern) }
        for _, key in ipairs({ "n_workers", "n_pending", "n_delivered", "n_acked", "n_lost",
            "n_redelivered", "n_filtered", "n_missed", "lag_bytes", "oldest_sequence" }) do
            group[key] = tonumber(stats[key])
        end
        return group
    end

    --- Figures of every consumer group of the bus, a list of tables.
    function Bus:groups()
        local list, rc, idx = {}, C.JB_ECLOSED, 0
        while self.handle and rc ~= C.JB_ELIMIT do
            stats.size = ffi.sizeof(stats)
            rc = C.jb_bus_group_stats(self.handle, idx, stats)
            list[#list + 1] = rc == 0 and figures() or nil
            idx = idx + 1
        end
        return list
    end
end

return { create = create }
