-- jimbot.publish: the methods of a bus that put events on it.
--
-- Invariant: nothing here blocks, throws or keeps a reference to the caller's tables; a full bus is
-- an answer (false, "full"), counted. The scratch memory is shared by all buses of a Lua state,
-- which is safe because no call here is left half-way.

local function create(C, ffi, Bus, encode)
    local encoded = ffi.new("jb_encoded")
    local head = ffi.new("jb_event_head")
    local topic_id = ffi.new("uint32_t[1]")
    local err = ffi.new("jb_error")
    C.jb_error_init(err)

    local member = encode.member
    local begin, finish = C.jb_encoder_begin, C.jb_encoder_end
    local publish_encoded = C.jb_bus_publish_encoded

    local function fail(self, rc, detailed)
        if rc == C.JB_EAGAIN then
            self.n_full = self.n_full + 1
            return false, "full", rc
        end
        self.n_failed = self.n_failed + 1
        if detailed and err.code == rc and err.msg[0] ~= 0 then
            return false, ffi.string(err.msg), rc
        end
        return false, ffi.string(C.jb_strerror(rc)), rc
    end

    local function refuse(self, why)
        self.n_failed = self.n_failed + 1
        return false, why, C.JB_EINVAL
    end

    --- An event id: process, time of opening, which bus, count. Unique between processes and runs
    -- without math.random, whose sequence belongs to the game.
    function Bus:next_id()
        self.n_ids = self.n_ids + 1
        return self.id_prefix .. self.n_ids
    end

    -- Members that an event must have and its envelope does not give.
    local function add_defaults(self, envelope)
        local encoder = self.encoder
        if not envelope or envelope.event_id == nil then
            member(encoder, "event_id", self:next_id())
        end
        if not envelope or envelope.timestamp == nil then
            local ms = tonumber(C.jb_clock_utc_ns()) / 1e6
            member(encoder, "timestamp", ms - ms % 1)
        end
        if self.source and (not envelope or envelope.source == nil) then
            member(encoder, "source", self.source)
        end
    end

    local function add_envelope(self, envelope, skip_payload)
        for key, value in pairs(envelope) do
            local skip = key == "type" or key == "subtype" or (skip_payload and key == "payload")
            if not skip and type(key) == "string" then
                local why = member(self.encoder, key, value)
                if why then
                    return why
                end
            end
        end
    end

    local function encode_event(self, kind, payload, envelope)
        local subtype = envelope and envelope.subtype
        if type(subtype) ~= "string" then
            subtype = nil
        end
        local rc = begin(self.encoder, kind, #kind, subtype, subtype and #subtype or 0)
        if rc < 0 then
            return nil, rc
        end
        encode.n_skipped = 0
        add_defaults(self, envelope)
        local why
        if payload ~= nil then
            why = member(self.encoder, "payload", payload)
        end
        if envelope and not why then
            why = add_envelope(self, envelope, payload ~= nil)
        end
        if why ~= encode.AGAIN then
            self.n_skipped = self.n_skipped + encode.n_skipped
        end
        return why, 0
    end

    -- Encode one event into `encoded`. Answers true; or false, one sentence and a code, counted.
    local function prepare(self, kind, payload, envelope)
        if not self.handle then
            return false, "closed", C.JB_ECLOSED
        elseif type(kind) ~= "string" or kind == "" then
            return refuse(self, "the event's type is not a text")
        elseif envelope ~= nil and type(envelope) ~= "table" then
            return refuse(self, "the event's envelope is not a table")
        end
        local why, rc = encode_event(self, kind, payload, envelope)
        if why == encode.AGAIN then
            encode.in_c = false
            why, rc = encode_event(self, kind, payload, envelope)
            encode.in_c = true
        end
        if why then
            return refuse(self, why)
        elseif rc == 0 then
            rc = finish(self.encoder, encoded, err)
        end
        if rc < 0 then
            return fail(self, rc, true)
        end
        return true
    end

    -- Make the head of what was encoded; `topic` nil: the one of its type.
    local function fill_head(self, head, topic, key)
        local rc
        if topic then
            rc = C.jb_bus_topic(self.handle, topic, #topic, topic_id)
        else
            rc = C.jb_bus_topic(self.handle, encoded.topic, encoded.topic_bytes, topic_id)
        end
        head.topic_id = topic_id[0]
        head.type, head.priority = encoded.type, encoded.priority
        head.source_time = encoded.source_time
        head.flags, head.key = 0, key
        return rc
    end

    local function is_key(key)
        return type(key) == "number" and key >= 0 and key < 4294967296 and key % 1 == 0
    end

    --- Publish an event made of Lua values.
    -- @param kind      "MONEY_CHANGED" …
    -- @param payload   a table, or any value JSON knows; nil for none
    -- @param envelope  nil, or the event's other members: event_id, timestamp, source, subtype,
    --                  priority, headers …
    -- @param key       nil, or what it is about within its topic (a table, a card), an integer below
    --                  2^32: a conflating subscription keeps the newest of each topic and key
    -- @return true; or false, "full" when a lossless subscriber is behind (nothing was published,
    --         try later); or false, one sentence that names the place in the table
    function Bus:publish(kind, payload, envelope, key)
        if key ~= nil and not is_key(key) then
            return refuse(self, "the key is not an integer of 32 bits")
        end
        local ok, why, rc = prepare(self, kind, payload, envelope)
        if not ok then
            return false, why, rc
        end
        if key then
            rc = fill_head(self, head, nil, key)
            if rc == 0 then
                rc = C.jb_bus_publish(self.handle, head, encoded.data, encoded.len_bytes)
            end
        else
            rc = publish_encoded(self.handle, encoded)
        end
        if rc < 0 then
            return fail(self, rc)
        end
        self.n_published = self.n_published + 1
        self.n_repairs = self.n_repairs + encoded.n_repairs
        return true
    end

    --- Publish a whole event as BalatroMCP makes it: { type =, payload =, source =, … }.
    function Bus:publish_event(event)
        if type(event) ~= "table" then
            return false, "the event is not a table"
        end
        return self:publish(event.type, nil, event)
    end

    --- Publish the JSON text of one event.
    function Bus:publish_json(text)
        if not self.handle then
            return false, "closed"
        elseif type(text) ~= "string" then
            return refuse(self, "the event is not a text")
        end
        local rc = C.jb_bus_publish_json(self.handle, self.encoder, text, #text, err)
        if rc < 0 then
            return fail(self, rc, true)
        end
        self.n_published = self.n_published + 1
        return true
    end

    return {
        fail = fail,
        refuse = refuse,
        prepare = prepare,
        fill_head = fill_head,
        is_key = is_key,
        encoded = encoded,
    }
end

return { create = create }
