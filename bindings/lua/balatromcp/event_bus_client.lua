-- event_bus_client: replaces the file of that name in the BalatroMCP mod, and nothing else of it.
-- The client itself is jimbot.mod_client; the folder `jimbot` lies next to this file, or is
-- installed for all of Lua.
--
-- Invariant: requiring this file never throws. Without the module it answers with a client that has
-- the same methods, sends nothing, and counts what it was given.

local own_name = ...

local function find_client()
    local folder = type(own_name) == "string" and own_name:match("^(.*)%.[^.]+$")
    for _, name in ipairs({ folder and folder .. ".jimbot" or "jimbot", "jimbot" }) do
        local ok, client = pcall(require, name .. ".mod_client")
        if ok and type(client) == "table" then
            return client
        end
    end
end

local why = "the jimbot module is not installed"
local absent = { connected = false, connection_tested = false, event_queue = {}, local_buffer = {} }

local names = [[init test_connection send_event_sync process_queue buffer_event flush_buffer flush
    update set_command_handler reset shutdown]]
for name in names:gmatch("%S+") do
    absent[name] = function()
        return false, why
    end
end

function absent:send_batch(events)
    self.n_dropped = (self.n_dropped or 0) + #(type(events) == "table" and events or {})
    return false, why
end

function absent:send_event(event)
    return self:send_batch({ event })
end

absent.send_event_sync, absent.buffer_event = absent.send_event, absent.send_event

function absent.poll_commands()
    return {}
end

function absent.check_health()
    return false, why
end

function absent:generate_uuid()
    self.n_ids = (self.n_ids or 0) + 1
    return ("%x-%d"):format(os.time(), self.n_ids)
end

function absent:get_status()
    return {
        connected = false,
        event_queue_size = 0,
        local_buffer_size = 0,
        circuit_breaker = { is_open = true, can_attempt = false },
        events_dropped = self.n_dropped or 0,
        last_error = why,
    }
end

return find_client() or absent
