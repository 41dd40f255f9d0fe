-- jimbot.quota: leases of a coordinator, for a program that may not wait.
--
--     local coord = jimbot.coordinator("workstation")
--     local lease = coord:try("game", { vram0 = 512 * 2^20 })     -- nil: not now
--     if lease then … lease:release() end
--
-- Invariant: try(), request(), poll() and what a lease does never wait for somebody else's lease.
-- A lease or place in line that is collected is given back.

local CLASSES = { low = 1, normal = 2, high = 3, critical = 4 }
local KINDS = { memory = 1, gpu_memory = 2, gpu_time = 3, cpu = 4, calls = 5, tokens = 6 }
local MOST = 8 -- resources in one lease

local function create(C, ffi, classes)
    local Coord = classes.Coord or {}
    local Lease = classes.Lease or {}
    local Ticket = classes.Ticket or {}
    classes.Coord, classes.Lease, classes.Ticket = Coord, Lease, Ticket
    Coord.__index, Lease.__index, Ticket.__index = Coord, Lease, Ticket

    local want, amounts = ffi.new("jb_want"), ffi.new("jb_amount[?]", MOST)
    local out, lease_out = ffi.new("jb_coord *[1]"), ffi.new("jb_lease")
    local ticket_out, left_out = ffi.new("jb_ticket"), ffi.new("uint64_t[1]")
    local info = ffi.new("jb_resource_info")
    local err = ffi.new("jb_error")
    C.jb_error_init(err)

    local function failure(rc)
        return nil, rc == C.JB_EAGAIN and "busy" or ffi.string(C.jb_strerror(rc)), rc
    end

    -- The want of these arguments in `want`, or nil and one sentence.
    local function fill(coord, component, resources, opts)
        opts = opts or {}
        local idx = type(component) == "string" and C.jb_coord_find_component(coord.handle, component)
        if not idx or idx < 0 then
            return nil, ("there is no component %q"):format(tostring(component))
        end
        local n = 0
        for name, amount in pairs(resources) do
            local at = C.jb_coord_find_resource(coord.handle, name)
            if at < 0 or n == MOST or not (amount >= 1 and amount < 2 ^ 62) then
                return nil, ("%q is no resource, one too many, or its amount is none"):format(name)
            end
            amounts[n].resource, amounts[n]._reserved, amounts[n].amount = at, 0, amount
            n = n + 1
        end
        local class = CLASSES[opts.priority or "normal"]
        if not class then
            return nil, "the priority is low, normal, high or critical"
        end
        want.component, want.lease_class, want.flags = idx, class, 0
        want.n_amounts, want.amounts = n, amounts
        want.hold_ns, want.wait_ns = (opts.hold or 0) * 1e9, (opts.wait or 0) * 1e9
        want.tag = opts.tag or 0
        return true
    end

    local function prepare(coord, ...)
        if not coord.handle then
            return nil, "closed", C.JB_ECLOSED
        end
        local called, ok, why = pcall(fill, coord, ...)
        if not called or not ok then
            return nil, called and why or tostring(ok), C.JB_EINVAL
        end
        return true
    end

    -- A struct with a finalizer, copied from where the library wrote it. A closed coordinator has
    -- given everything back itself.
    local function keep(ctype, value, coord, give_back)
        local state = coord.state
        return ffi.gc(ffi.new(ctype, value), function(struct)
            if state.handle then
                give_back(state.handle, struct)
            end
        end)
    end

    local function new_lease(coord)
        local struct = keep("jb_lease", lease_out, coord, C.jb_lease_release)
        return setmetatable({ struct = struct, coord = coord }, Lease)
    end

    --- Get a lease now or not at all. For a game's thread: waits for nothing.
    -- @param component  its name
    -- @param resources  { name = amount }, at most 8
    -- @param opts       nil, or priority: "low" … "critical"; hold: seconds until it ends by itself;
    --                   tag: a number shown in lists
    -- @return a lease; or nil, "busy" or one sentence, and a code of jimbot.err: Full (not now),
    --         TooBig (never), Limit, Invalid
    function Coord:try(component, resources, opts)
        local ok, why, code = prepare(self, component, resources, opts)
        if not ok then
            return nil, why, code
        end
        local rc = C.jb_coord_try(self.handle, want, lease_out)
        if rc < 0 then
            return failure(rc)
        end
        return new_lease(self)
    end

    --- Stand in line. It takes the coordinator's lock for a fraction of a microsecond.
    -- @param opts  as of try(), and wait: seconds to stay
    -- @return a ticket to poll(); or nil, one sentence and a code
    function Coord:request(component, resources, opts)
        local ok, why, code = prepare(self, component, resources, opts)
        if not ok then
            return nil, why, code
        end
        local rc = C.jb_coord_request(self.handle, want, ticket_out)
        if rc < 0 then
            return failure(rc)
        end
        local struct = keep("jb_ticket", ticket_out, self, C.jb_coord_cancel)
        return setmetatable({ struct = struct, coord = self }, Ticket)
    end

    --- Is it our turn? For a game's thread: waits for nothing.
    -- @return a lease; or nil and "busy" (ask again), or nil, one sentence and a code: it is over
    function Ticket:poll()
        local handle = self.coord.handle
        if not handle or not self.struct then
            return nil, "closed", C.JB_ECLOSED
        end
        local rc = C.jb_coord_poll(handle, self.struct, lease_out)
        if rc == 0 then
            return nil, "busy"
        end
        ffi.gc(self.struct, nil)
        self.struct = nil
        if rc < 0 then
            return failure(rc)
        end
        return new_lease(self.coord)
    end

    --- Leave the line. A second cancel does nothing.
    function Ticket:cancel()
        local struct = self.struct
        self.struct = nil
        if struct and self.coord.handle then
            C.jb_coord_cancel(self.coord.handle, ffi.gc(struct, nil))
        end
    end

    local function call(lease, fn, ...)
        if not lease.coord.handle then
            return nil, "closed", C.JB_ECLOSED
        end
        local rc = fn(lease.coord.handle, lease.struct, ...)
        if rc < 0 then
            return failure(rc)
        end
        return rc
    end

    --- End it. Answers true; or nil, one sentence and NotFound: it had ended before.
    function Lease:release()
        ffi.gc(self.struct, nil)
        local rc, why, code = call(self, C.jb_lease_release)
        return rc and true, why, code
    end

    --- Move its deadline to so many seconds from now; 0 or nil: as long as at first.
    function Lease:renew(seconds)
        local rc, why, code = call(self, C.jb_lease_renew, (seconds or 0) * 1e9)
        return rc and true, why, code
    end

    --- Does it go on? "good", "notice" (finish now), or nil, one sentence and NotFound. Second, the
    -- seconds that are left; math.huge: no deadline.
    function Lease:check()
        local rc, why, code = call(self, C.jb_lease_check, left_out)
        if not rc then
            return nil, why, code
        end
        local left = left_out[0] == 0xffffffffffffffffULL and math.huge or tonumber(left_out[0]) / 1e9
        return rc == C.JB_LEASE_GOOD and "good" or "notice", left
    end

    --- Its fencing token, as a uint64_t.
    function Lease:token()
        return self.struct.token
    end

    --- A resource as a table: kind, capacity, headroom, foreign, allocated, n_leases, n_waiting.
    function Coord:resource(name)
        local idx = self.handle and C.jb_coord_find_resource(self.handle, name) or C.JB_ECLOSED
        local rc = idx < 0 and idx or C.jb_coord_resource_at(self.handle, idx, info)
        if rc < 0 then
            return failure(rc)
        end
        return {
            kind = info.kind,
            capacity = tonumber(info.capacity),
            headroom = tonumber(info.headroom),
            foreign = tonumber(info.foreign),
            allocated = tonumber(info.allocated),
            n_leases = tonumber(info.n_leases),
            n_waiting = tonumber(info.n_waiting),
        }
    end

    --- Give up leases and places in line. A second close does nothing.
    function Coord:close()
        local handle = self.handle
        self.handle, self.state.handle = nil, nil
        if handle then
            C.jb_coord_close(ffi.gc(handle, nil))
        end
    end

    local function specs(opts)
        local resources, components = opts.resources or {}, opts.components or {}
        local r = ffi.new("jb_resource_spec[?]", #resources + 1)
        local c = ffi.new("jb_component_spec[?]", #components + 1)
        for i, spec in ipairs(resources) do
            r[i - 1].name, r[i - 1].kind = spec.name, assert(KINDS[spec.kind], "an unknown kind")
            r[i - 1].capacity, r[i - 1].headroom = spec.capacity, spec.headroom or 0
        end
        for i, spec in ipairs(components) do
            c[i - 1].name, c[i - 1].weight = spec.name, spec.weight or 1
        end
        return r, #resources, c, #components
    end

    return function(name, opts)
        local o = ffi.new("jb_coord_opts")
        C.jb_coord_opts_init(o, ffi.sizeof(o))
        local r, n_resources, c, n_components = specs(opts)
        o.resources, o.n_resources = r, n_resources
        o.components, o.n_components = c, n_components
        o.peer_name = opts.peer_name
        local rc = C.jb_coord_open(name, o, out, err)
        if rc < 0 then
            return nil, ffi.string(err.msg), rc
        end
        local state = { handle = out[0] }
        local handle = ffi.gc(out[0], function(p)
            state.handle = nil
            C.jb_coord_close(p)
        end)
        return setmetatable({ handle = handle, state = state }, Coord)
    end
end

return { create = create }
