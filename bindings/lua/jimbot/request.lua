-- jimbot.request: questions and answers, without waiting.
--
-- Invariant: nothing here blocks. Every request that was sent has exactly one outcome, a reply or a
-- timeout, which poll() gives; unless it was cancelled.

local BATCH = 16
local empty = {} -- what poll() returns when nothing has ended: an idle frame makes no garbage
local NO_DEADLINE = 1e9 -- seconds

local function create(C, ffi, classes, Bus, put, copy_event, child)
    local Requester = classes.Requester or {}
    classes.Requester = Requester
    Requester.__index = Requester

    local encoded = put.encoded
    local outcomes = ffi.new("jb_outcome[?]", BATCH)
    local head = ffi.new("jb_event_head")
    local request = ffi.new("jb_event")
    local id_out = ffi.new("uint32_t[1]")
    local stats = ffi.new("jb_requester_stats")
    local requester_out = ffi.new("jb_requester *[1]")
    local err = ffi.new("jb_error")
    C.jb_error_init(err)

    local function timeout_ns(seconds)
        seconds = seconds == nil and 1 or seconds
        if type(seconds) ~= "number" or not (seconds > 0) then
            return nil
        elseif seconds >= NO_DEADLINE then
            return 0xffffffffffffffffULL
        end
        return math.max(seconds * 1e9, 1)
    end

    --- Publish a request.
    -- @param kind     its type, "LEARNING_DECISION_REQUEST" …
    -- @param payload  as of publish()
    -- @param opts     nil, or timeout: seconds, default 1, math.huge for none; topic: default that
    --                 of the type; envelope: as of publish()
    -- @return the id its outcome will carry; or nil, "full" or one sentence, and a code of jimbot.err
    --         (Limit: max_in_flight are unanswered)
    function Requester:send(kind, payload, opts)
        local bus = self.bus
        if not self.handle then
            return nil, "closed", C.JB_ECLOSED
        elseif opts ~= nil and type(opts) ~= "table" then
            return nil, select(2, put.refuse(bus, "the options are not a table"))
        end
        local ns = timeout_ns(opts and opts.timeout)
        local topic = opts and opts.topic
        if not ns or (topic ~= nil and type(topic) ~= "string") then
            return nil, select(2, put.refuse(bus, "the timeout or the topic is none"))
        end
        local ok, why, rc = put.prepare(bus, kind, payload, opts and opts.envelope)
        if not ok then
            return nil, why, rc
        end
        rc = put.fill_head(bus, head, topic, 0)
        if rc == 0 then
            rc = C.jb_request_send(self.handle, head, encoded.data, encoded.len_bytes, ns, id_out)
        end
        if rc < 0 then
            return nil, select(2, put.fail(bus, rc))
        end
        bus.n_published = bus.n_published + 1
        return id_out[0]
    end

    local function copy_outcome(bus, outcome)
        local is_reply = outcome.kind == C.JB_OUTCOME_REPLY
        return {
            id = outcome.id,
            elapsed_ns = tonumber(outcome.elapsed_ns),
            reply = is_reply and copy_event(bus, outcome.reply) or nil,
        }
    end

    --- Take what has ended, in the order in which it did. Never blocks: call it once per frame.
    -- @param max  at most this many, default and limit 16
    -- @return a list of { id =, elapsed_ns =, reply = an event, nil when it timed out }; do not write
    --         into it; and one sentence when the requester cannot go on
    function Requester:poll(max)
        if not self.handle then
            return empty, "closed"
        end
        local n = C.jb_request_poll(self.handle, outcomes, math.min(max or BATCH, BATCH))
        if n <= 0 then
            return empty, n < 0 and ffi.string(C.jb_strerror(n)) or nil
        end
        local list = {}
        for i = 0, n - 1 do
            list[i + 1] = copy_outcome(self.bus, outcomes[i])
        end
        return list
    end

    --- Have no more interest in a request: it has no outcome. False when it was not in flight.
    function Requester:cancel(id)
        return self.handle ~= nil and type(id) == "number"
            and C.jb_request_cancel(self.handle, id) == 0
    end

    --- Counters: n_sent, n_replied, n_timed_out, n_cancelled, n_in_flight, n_late, n_duplicate,
    -- n_unknown, n_missed.
    function Requester:stats()
        stats.size = ffi.sizeof(stats)
        if not self.handle or C.jb_requester_get_stats(self.handle, stats) < 0 then
            return nil, "closed"
        end
        return {
            n_in_flight = stats.n_in_flight,
            n_sent = tonumber(stats.n_sent),
            n_replied = tonumber(stats.n_replied),
            n_timed_out = tonumber(stats.n_timed_out),
            n_cancelled = tonumber(stats.n_cancelled),
            n_late = tonumber(stats.n_late),
            n_duplicate = tonumber(stats.n_duplicate),
            n_unknown = tonumber(stats.n_unknown),
            n_missed = tonumber(stats.n_missed),
        }
    end

    --- Forget what is in flight. A second close does nothing.
    function Requester:close()
        child.close(self, self.bus.askers, C.jb_requester_close)
    end

    local function open(bus, opts)
        local o = ffi.new("jb_requester_opts")
        C.jb_requester_opts_init(o, ffi.sizeof(o))
        o.max_in_flight = opts.max_in_flight or o.max_in_flight
        o.name = opts.name
        return C.jb_requester_open(bus.handle, o, requester_out, err)
    end

    --- Get ready to ask.
    -- @param opts  nil, or max_in_flight: 1 .. 4096, default 64; name: text
    -- @return a requester, or nil, one sentence and a code
    function Bus:requester(opts)
        if not self.handle then
            return nil, "closed", C.JB_ECLOSED
        end
        local called, rc = pcall(open, self, opts or {})
        if not called then
            return nil, tostring(rc), C.JB_EINVAL
        elseif rc < 0 then
            return nil, ffi.string(err.msg), rc
        end
        local handle, id = child.adopt(self.askers, requester_out, C.jb_requester_close)
        local requester = setmetatable({ handle = handle, bus = self, id = id }, Requester)
        self.subs[requester] = true
        return requester
    end

    --- Answer a request. The first answer counts.
    -- @param event  as poll() of a subscription gave it, with is_request
    -- @return true; or false, "full" or one sentence, and a code
    function Bus:reply(event, kind, payload, envelope)
        local is_request = type(event) == "table" and event.is_request == true
        if not is_request or not put.is_key(event.key) or not put.is_key(event.publisher) then
            return put.refuse(self, "the event is no request")
        end
        local ok, why, rc = put.prepare(self, kind, payload, envelope)
        if not ok then
            return false, why, rc
        end
        request.flags, request.key = C.JB_EVENT_IS_REQUEST, event.key
        request.publisher = event.publisher
        head.type, head.priority = encoded.type, encoded.priority
        head.source_time = encoded.source_time
        rc = C.jb_reply(self.handle, request, head, encoded.data, encoded.len_bytes)
        if rc < 0 then
            return put.fail(self, rc)
        end
        self.n_published = self.n_published + 1
        return true
    end
end

return { create = create }
