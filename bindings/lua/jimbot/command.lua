-- jimbot.command: the methods of a bus that take commands from it and send them.
--
-- Invariant: commands() never blocks and makes no garbage when nothing has come; what cannot be
-- decoded is counted and stepped over, so one bad command cannot stop those behind it.

-- Names under which the mod's action executor looks for the one parameter of a command.
local parameter_names = {
    select_deck = "deck",
    select_stake = "stake",
    navigate_menu = "action",
    select_card = "card_index",
}

-- A command as the mod's HTTP poll would have given it ("select_card:3"), with its parameters both
-- as a list of texts and under the name the mod's executor looks for.
local function for_mod(command)
    local params = command.params
    local first = params[1]
    local text = command.name .. (first and ":" .. table.concat(params, ",") or "")
    if first then
        params[parameter_names[command.name] or "index"] = tonumber(first) or first
    end
    return { type = command.name, params = params, text = text, id = command.id }
end

-- How many events to look at: `max` of the caller, between none and all there is room for.
local function count(max, room)
    max = max == nil and room or tonumber(max) or 0
    return max > 0 and math.min(max, room) or 0 -- not a number: none
end

-- @param event_type  what C.jb_sub_peek() fills: "jb_event" when none is named
local function create(C, ffi, Bus, answer, event_type)
    local fail, refuse = answer.fail, answer.refuse
    local command = ffi.new("jb_command")
    local BATCH = 16
    local events = ffi.new((event_type or "jb_event") .. "[?]", BATCH)
    local no_commands = {} -- one table for every idle frame

    local function copy_command()
        local params = {}
        for i = 1, command.n_params do
            params[i] = ffi.string(command.params[i - 1])
        end
        return { name = ffi.string(command.name), id = ffi.string(command.id), params = params }
    end

    --- Take the commands that have come. Never blocks: call it once per frame.
    -- @param max  at most this many, default and limit 16
    -- @return a list of { name = "select_card", params = { "3" }, id = "" }; do not write into it
    function Bus:commands(max)
        local sub = self.command_sub and self.command_sub.handle
        if not sub then
            return no_commands
        end
        local n = C.jb_sub_peek(sub, events, count(max, BATCH))
        if n <= 0 then
            return no_commands
        end
        local list = {}
        for i = 0, n - 1 do
            local ev = events[i]
            self.n_commands_missed = self.n_commands_missed + tonumber(ev.n_missed)
            if C.jb_command_decode(ev.payload, ev.len_bytes, command) == 0 then
                list[#list + 1] = copy_command()
            else
                self.n_commands_bad = self.n_commands_bad + 1
            end
        end
        C.jb_sub_advance(sub)
        self.n_commands = self.n_commands + #list
        return list
    end

    --- Send a command to the game, as an agent does.
    -- @param params  nil or a list of at most 8 texts or numbers, 47 bytes each
    function Bus:send_command(name, params, id)
        params, id = params or {}, id or ""
        name = tostring(name)
        if not self.handle then
            return false, "closed"
        elseif #name > 47 or #id > 63 or #params > 8 then
            return refuse(self, "the command's name, id or number of parameters is too large")
        end
        ffi.fill(command, ffi.sizeof(command))
        ffi.copy(command.name, name)
        ffi.copy(command.id, id)
        command.n_params = #params
        for i = 1, #params do
            local text = tostring(params[i])
            if #text > 47 then
                return refuse(self, "parameter " .. i .. " of the command is too long")
            end
            ffi.copy(command.params[i - 1], text)
        end
        local rc = C.jb_bus_send_command(self.handle, command)
        if rc < 0 then
            return fail(self, rc)
        end
        return true
    end
end

return { create = create, for_mod = for_mod, count = count }
