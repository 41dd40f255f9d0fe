-- jimbot.encode: walks a Lua value and hands it to an encoder of the library, value by value, with
-- no text in between.
--
-- Invariant: a walk ends. Tables that contain themselves, nesting beyond MAX_DEPTH and more than
-- MAX_TABLES tables are refused, with the path to the place. Nothing here throws and nothing calls
-- a metamethod.
--
-- What is what follows the JSON of the BalatroMCP mod: an empty table is `{}`; a table with exactly
-- the keys 1..n is a list; any other table is an object, its numeric keys as text. What JSON has no
-- word for (functions, userdata, threads) becomes null and is counted.

local MAX_DEPTH = 60 -- the encoder's own limit is 64, the envelope included
local MAX_TABLES = 100000

local pairs, type, tostring = pairs, type, tostring

-- True when the keys are 1..n and nothing else. `#` alone does not say so: it may stop at a hole or
-- pass over one.
local function is_list(t)
    local n = #t
    if n == 0 then
        return false
    end
    local count = 0
    for k in pairs(t) do
        if type(k) ~= "number" or k < 1 or k > n or k % 1 ~= 0 then
            return false
        end
        count = count + 1
    end
    return count == n, n
end

local function key_text(key, kind)
    if kind == "number" then
        local integral = key % 1 == 0 and key > -1e15 and key < 1e15
        return integral and ("%d"):format(key) or tostring(key)
    end
    return kind == "boolean" and tostring(key) or nil
end

local DONE, REFUSED = 0, 1 -- what walk.c answers; anything else: Lua has to do it

local function create(C, ffi, walk)
    -- Functions, not the namespace: with the JIT off each lookup in it costs a sixth of the walk.
    local put_key = C.jb_encoder_key
    local put_string, put_double = C.jb_encoder_put_string, C.jb_encoder_put_double
    local add_string, add_double = C.jb_encoder_string, C.jb_encoder_double
    local add_bool, add_int, add_null = C.jb_encoder_bool, C.jb_encoder_int, C.jb_encoder_null
    local object_open, list_open = C.jb_encoder_object_open, C.jb_encoder_list_open
    local close = C.jb_encoder_close
    local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")

    local encode = { n_skipped = 0 }
    local walking = {} -- tables that are open at this moment
    local n_tables = 0
    local add_table

    -- A value that is neither string, number nor table.
    local function add_other(encoder, value, kind)
        if kind == "boolean" then
            add_bool(encoder, value)
        elseif kind == "cdata" and ffi.istype(int64, value) then
            add_int(encoder, value)
        elseif kind == "cdata" and ffi.istype(uint64, value) then
            add_double(encoder, tonumber(value))
        else
            if value ~= nil or kind == "cdata" then
                encode.n_skipped = encode.n_skipped + 1
            end
            add_null(encoder)
        end
    end

    local function add_object(encoder, t, depth)
        for k, v in pairs(t) do
            local key_kind = type(k)
            if key_kind ~= "string" then
                k = key_text(k, key_kind)
            end
            local kind = type(v)
            if not k then
                encode.n_skipped = encode.n_skipped + 1
            elseif kind == "string" then
                put_string(encoder, k, #k, v, #v)
            elseif kind == "number" then
                put_double(encoder, k, #k, v)
            elseif kind == "table" then
                put_key(encoder, k, #k)
                local why = add_table(encoder, v, depth)
                if why then
                    return "." .. k .. why
                end
            else
                put_key(encoder, k, #k)
                add_other(encoder, v, kind)
            end
        end
    end

    local function add_list(encoder, t, n, depth)
        for i = 1, n do
            local v = t[i]
            local kind = type(v)
            if kind == "table" then
                local why = add_table(encoder, v, depth)
                if why then
                    return "[" .. i .. "]" .. why
                end
            elseif kind == "string" then
                add_string(encoder, v, #v)
            elseif kind == "number" then
                add_double(encoder, v)
            else
                add_other(encoder, v, kind)
            end
        end
    end

    -- Returns nil, or what was wrong, to be prefixed with the path.
    function add_table(encoder, t, depth)
        if walking[t] then
            return ": the table contains itself"
        end
        n_tables = n_tables + 1
        if depth >= MAX_DEPTH then
            return ": nested deeper than " .. MAX_DEPTH
        elseif n_tables > MAX_TABLES then
            return ": more than " .. MAX_TABLES .. " tables"
        end
        local list, n = is_list(t)
        -- A failure sticks in the encoder; seeing it here ends the walk of a large value early.
        if (list and list_open or object_open)(encoder) < 0 then
            return ": too large or nested too deep"
        end
        walking[t] = true
        local why
        if list then
            why = add_list(encoder, t, n, depth + 1)
        else
            why = add_object(encoder, t, depth + 1)
        end
        walking[t] = nil
        close(encoder)
        return why
    end

    local call = ffi.new("jb_lua_walk", ffi.sizeof("jb_lua_walk"))
    call.put = C.jb_encoder_items

    -- The same walk in C: one crossing of the border instead of one per value. Preferred even with
    -- the JIT on, where it costs a little more: its time does not depend on whether a trace was
    -- compiled.
    local function walk_in_c(encoder, key, value)
        call.encoder = encoder
        local answer = walk(call, key, value)
        if answer == DONE then
            encode.n_skipped = encode.n_skipped + call.n_skipped
        elseif answer == REFUSED then
            return ffi.string(call.path, call.n_path)
        else
            return encode.AGAIN
        end
    end

    --- True while tables are walked in C.
    encode.in_c = walk ~= nil
    --- What member() answers when C met a value that only Lua can read: set in_c to false and begin
    -- the event anew.
    encode.AGAIN = {}

    --- Give one member of the open object to the encoder.
    -- @return nil, or one sentence; the encoder must then be begun anew
    function encode.member(encoder, key, value)
        local kind = type(value)
        n_tables = 0
        if kind == "string" then
            put_string(encoder, key, #key, value, #value)
        elseif kind == "number" then
            put_double(encoder, key, #key, value)
        elseif kind == "table" and encode.in_c then
            return walk_in_c(encoder, key, value)
        else
            put_key(encoder, key, #key)
            if kind ~= "table" then
                add_other(encoder, value, kind)
            else
                local why = add_table(encoder, value, 1)
                return why and key .. why
            end
        end
    end

    return encode
end

return { create = create, key_text = key_text }
