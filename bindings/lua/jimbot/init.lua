-- jimbot: the event bus in the game's own process, for LuaJIT and LÖVE.
--
--     local jimbot = require "jimbot"
--     local bus = jimbot.open("jimbot") or jimbot.null
--     bus:publish("MONEY_CHANGED", { old_value = 4, new_value = 9, difference = 5 })
--     for _, command in ipairs(bus:commands()) do         -- once per frame
--         obey(command.name, command.params)
--     end
--
-- Invariant: requiring this module never throws and does nothing but define functions. The library
-- is looked for at the first jimbot.open() or jimbot.load(); when it is missing or of another
-- version there is one warning, open() answers nil and a sentence, and jimbot.null stands in for a
-- bus.
--
-- The module table survives a reload (package.loaded[...] = nil; require again): whoever kept the
-- old table has the new functions, and open buses go on.

local name = ...
local prefix = type(name) == "string" and name:gsub("%.init$", "") or "jimbot"

local library = require(prefix .. ".library")
local state = library.state

local jimbot = state.module or {}
state.module = jimbot
state.failure = nil

jimbot.null = require(prefix .. ".null")

--- Status codes by name, jimbot.err.Full == -4; filled when the library is loaded.
jimbot.err = jimbot.err or {}

--- Where the one warning goes. Replace it to log elsewhere.
jimbot.warn = jimbot.warn or function(message)
    print("jimbot: " .. message)
end

local prepared = false
local parts, open_client
local openers = {} -- of a bus, a coordinator, a client, once the library is loaded

local function fill_errors(C, ffi)
    local code, short = ffi.new("int32_t[1]"), ffi.new("const char *[1]")
    local idx = 0
    while C.jb_err_at(idx, code, short) == 0 do
        jimbot.err[ffi.string(short[0])] = code[0]
        idx = idx + 1
    end
end

-- The classes are made once per Lua state: a reload puts new functions into the old tables.
local function prepare(C)
    if prepared then
        return
    end
    local ffi = library.ffi
    fill_errors(C, ffi)
    jimbot.version = ffi.string(C.jb_version_string())
    state.encode = require(prefix .. ".encode").create(C, ffi, library.walk())
    local child = require(prefix .. ".child").create(ffi)
    local open_sub, copy_event, type_name =
        require(prefix .. ".sub").create(C, ffi, state.classes, child)
    parts = {
        child = child,
        encode = state.encode,
        open_sub = open_sub,
        copy_event = copy_event,
        type_name = type_name,
        batch = require(prefix .. ".batch"),
        request = require(prefix .. ".request"),
        worker = require(prefix .. ".worker"),
        publish = require(prefix .. ".publish"),
        command = require(prefix .. ".command"),
    }
    openers.bus, parts.id_prefix, parts.encoder_options =
        require(prefix .. ".bus").create(C, ffi, state.classes, parts)
    openers.coordinator = require(prefix .. ".quota").create(C, ffi, state.classes)
    prepared = true
end

--- Load the library now, rather than at the first open().
-- @param path  the file; nil: $JIMBOT_LIBRARY, else next to this module, else the system's places
-- @return true, or false and one sentence
function jimbot.load(path)
    if state.failure and not path then
        return false, state.failure -- searching again in every frame would cost file operations
    end
    local C, why = library.load(path)
    if C then
        local ok, failure = pcall(prepare, C)
        if ok then
            state.failure = nil
            return true
        end
        why = tostring(failure)
    end
    state.failure = why
    if not state.warned then
        state.warned = true
        pcall(jimbot.warn, "going on without the event bus: " .. tostring(why))
    end
    return false, why
end

--- True when the library is there.
function jimbot.available()
    return (jimbot.load())
end

--- The library's file, once it is loaded.
function jimbot.path()
    return state.path
end

-- Load the library and open something; what is thrown comes back as a sentence.
local function guarded(what, where, opts)
    opts = opts or {}
    local ok, why = jimbot.load(opts.library)
    if not ok then
        return nil, why
    end
    local called, opened, failure, code = pcall(openers[what], where, opts)
    if not called then
        return nil, tostring(opened)
    end
    return opened, failure, code
end

--- Open a bus: attach to the one of that name, or create it.
-- @param bus_name  as jb_bus_open() takes it; nil: a bus of one's own that nobody else can see
-- @param opts      library: path of the library; mode: "open" (default), "create" or "attach";
--                  source: what events without one get; dialect: of what is published,
--                  "balatromcp" (default); strict: true for JSON by RFC 8259 only; canonical: true
--                  for equal bytes of equal events; peer_name: text; keep: boolean; commands: false for no
--                  command subscription; capacity_bytes, max_topics, max_subs,
--                  max_peers, max_groups, stall_after_ns, budget_bytes: numbers, as in jb_bus_opts
-- @return a bus, or nil, one sentence, and a code of jimbot.err when the library answered
function jimbot.open(bus_name, opts)
    return guarded("bus", bus_name, opts)
end

--- Attach to a coordinator of resources, or make it; see jimbot.quota.
-- @param coord_name  nil: one for this program alone
-- @param opts        resources: list of { name =, kind = "memory", "gpu_memory", "gpu_time", "cpu",
--                    "calls" or "tokens", capacity =, headroom = }; components: list of { name =,
--                    weight = }; who attaches may leave both out. peer_name: text; library: a path
-- @return a coordinator, or nil, one sentence, and a code
function jimbot.coordinator(coord_name, opts)
    return guarded("coordinator", coord_name, opts)
end

--- Take the name away from a coordinator: who has it open keeps it, the next one makes a new one.
-- @return true, or nil, one sentence, and a code
function jimbot.unlink_coordinator(coord_name)
    local ok, why = jimbot.load()
    if not ok then
        return nil, why
    end
    local err = library.ffi.new("jb_error")
    local rc = library.state.C.jb_coord_unlink(coord_name, err)
    if rc < 0 then
        return nil, library.ffi.string(err.msg), rc
    end
    return true
end

-- The library of clients is looked for at the first connect().
function openers.client(url, opts)
    if not open_client then
        local K, why = library.load_client(opts.client_library)
        if not K then
            return nil, why
        end
        parts.client_open = require(prefix .. ".client_open")
        open_client = require(prefix .. ".client").create(library.state.C, K, library.ffi,
            state.classes, parts)
    end
    return open_client(url, opts)
end

--- Connect to a bus elsewhere, in the background: "ws://HOST:PORT", "wss://…", "unix:PATH",
-- "http://…", or "shm://NAME". Answers at once, whether there is a server or not.
-- @param url   where
-- @param opts  client_library: path; library, source, dialect, strict, canonical: as of open();
--              commands: false for no command subscription; token, tls_ca, tls_cert, tls_key, name:
--              texts; rest_fallback, drop_oldest, no_ids, tls_any: true; buffer_bytes; in seconds:
--              connect_timeout, backoff_min, backoff_max, idle, poll. All as in jb_client_opts
-- @return a client, see jimbot.client; or nil, one sentence, and a code
function jimbot.connect(url, opts)
    return guarded("client", url, opts)
end

return jimbot
