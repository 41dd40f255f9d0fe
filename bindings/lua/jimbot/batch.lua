-- jimbot.batch: several events in one call, visible together.
--
-- Invariant: a batch is on the bus as a whole or not at all. The scratch memory is shared by all
-- buses of a Lua state; what one call put there is published before it returns.

local MAX_EVENTS = 4096 -- JB_BATCH_MAX

local function create(C, ffi, Bus, put)
    local encoded = put.encoded
    local max_bytes = tonumber(ffi.C.JB_EVENT_MAX_BYTES)
    local n_room, n_bytes_room = 0, 16384
    local heads, lens, payloads
    local bytes = ffi.new("uint8_t[?]", n_bytes_room)

    local function reserve_events(n)
        if n > n_room then
            n_room = math.min(math.max(n, 2 * n_room, 64), MAX_EVENTS)
            heads = ffi.new("jb_event_head[?]", n_room)
            lens = ffi.new("uint32_t[?]", n_room)
            payloads = ffi.new("const void *[?]", n_room)
        end
    end

    local function reserve_bytes(used, more)
        if used + more > n_bytes_room then
            while used + more > n_bytes_room do
                n_bytes_room = 2 * n_bytes_room
            end
            local larger = ffi.new("uint8_t[?]", n_bytes_room)
            ffi.copy(larger, bytes, used)
            bytes = larger
        end
    end

    -- Encode event i (from 0) behind `used` bytes. Answers the bytes used, or nil and what
    -- publish() answers.
    local function gather(self, event, key, i, used)
        if type(event) ~= "table" then
            return nil, put.refuse(self, "not a table")
        elseif not put.is_key(key) then
            return nil, put.refuse(self, "the key is not an integer of 32 bits")
        end
        local ok, why, rc = put.prepare(self, event.type, nil, event)
        if not ok then
            return nil, ok, why, rc
        end
        local len = encoded.len_bytes
        if used + len > max_bytes then
            return nil, put.fail(self, C.JB_ETOOBIG)
        end
        rc = put.fill_head(self, heads[i], nil, key)
        if rc < 0 then
            return nil, put.fail(self, rc)
        end
        reserve_bytes(used, len)
        ffi.copy(bytes + used, encoded.data, len)
        lens[i] = len
        self.n_repairs = self.n_repairs + encoded.n_repairs
        return used + len
    end

    --- Publish several whole events at once, in their order.
    -- @param events  a list of at most 4096 tables { type =, payload =, source =, … }
    -- @param keys    nil, or a list with the key of each, see publish()
    -- @return true; or false, "full" (nothing was published, try later); or false, one sentence that
    --         names the event, and nothing was published
    function Bus:publish_batch(events, keys)
        if not self.handle then
            return false, "closed", C.JB_ECLOSED
        elseif type(events) ~= "table" or (keys ~= nil and type(keys) ~= "table") then
            return put.refuse(self, "the events, or their keys, are not a list")
        end
        local n, used = #events, 0
        if n == 0 then
            return true
        elseif n > MAX_EVENTS then
            return put.refuse(self, "more than " .. MAX_EVENTS .. " events")
        end
        reserve_events(n)
        for i = 1, n do
            local now, _, why, rc = gather(self, events[i], keys and keys[i] or 0, i - 1, used)
            if not now then
                return false, "event " .. i .. ": " .. why, rc
            end
            used = now
        end
        used = 0
        for i = 0, n - 1 do
            payloads[i] = bytes + used
            used = used + lens[i]
        end
        local rc = C.jb_bus_publish_batch(self.handle, heads, payloads, lens, n)
        if rc < 0 then
            return put.fail(self, rc)
        end
        self.n_published = self.n_published + n
        return true
    end
end

return { create = create }
