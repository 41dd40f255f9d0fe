-- jimbot.outbox: events on their way to a bus, in order, with a bounded place to wait.
--
-- Invariant: events leave in the order they came; one that is lost (no room to wait, or nothing a
-- bus can take) is counted. sent + dropped + rejected + #waiting = every event given.

local Outbox = {}
Outbox.__index = Outbox

--- @param limit  how many events may wait
function Outbox.new(limit)
    local counters = { sent = 0, buffered = 0, dropped = 0, rejected = 0, full_in_a_row = 0 }
    counters.limit, counters.waiting = limit, {}
    return setmetatable(counters, Outbox)
end

-- True when the bus took the event or never will; false when it should be tried again.
local function publish(self, bus, event)
    local ok, why = bus:publish_event(event)
    if ok then
        self.sent = self.sent + 1
        self.full_in_a_row = 0
        return true
    end
    self.last_error = why
    if why == "full" then
        self.full_in_a_row = self.full_in_a_row + 1
        return false
    end
    self.rejected = self.rejected + 1
    return true
end

--- Let an event wait; the oldest goes when there is no room.
function Outbox:push(event)
    local waiting = self.waiting
    if #waiting >= self.limit then
        table.remove(waiting, 1)
        self.dropped = self.dropped + 1
    end
    waiting[#waiting + 1] = event
    self.buffered = self.buffered + 1
end

--- Publish now what can go now, behind those that wait.
-- @param bus  nil when there is none yet: the event waits
-- @return true when it left
function Outbox:send(bus, event)
    if type(event) ~= "table" then
        self.rejected = self.rejected + 1
        return false
    end
    local rejected = self.rejected
    if #self.waiting > 0 or not bus or not publish(self, bus, event) then
        self:push(event)
        return false
    end
    return self.rejected == rejected
end

--- Publish what waits, at most max of it.
-- @return how many are gone
function Outbox:flush(bus, max)
    local waiting = self.waiting
    local n, limit = 0, math.min(max, #waiting)
    while bus and n < limit and publish(self, bus, waiting[n + 1]) do
        n = n + 1
    end
    if n > 0 then
        local total = #waiting
        for i = 1, total do
            waiting[i] = waiting[i + n]
        end
    end
    return n
end

return Outbox
