-- jimbot.library: finds the shared library, declares its functions once, refuses a wrong version.
--
-- Invariant: nothing here throws, whatever is on disk. What was loaded stays reachable for the life
-- of the Lua state, through package.loaded["jimbot.state"]: the code of a library that is collected
-- is unmapped under the feet of every function pointer, and a module that is reloaded must not
-- declare its types a second time.

local here = ...
local prefix = type(here) == "string" and here:match("^(.*)%.library$") or "jimbot"

local has_ffi, ffi = pcall(require, "ffi")

local state = package.loaded["jimbot.state"]
if type(state) ~= "table" then
    state = { classes = {} }
    package.loaded["jimbot.state"] = state
end

local library = { state = state, ffi = has_ffi and ffi or nil }

local names = {
    Windows = { "%s.dll", "lib%s.dll" },
    OSX = { "lib%s.0.1.dylib", "lib%s.dylib" },
    default = { "lib%s.so.0.1", "lib%s.so" },
}

-- The folder of this file as the operating system knows it. Inside LÖVE the source name is a path
-- of its virtual file system, which lies in the save folder (where mods are) or in the game itself.
local function own_folders()
    local folders = {}
    local source = debug.getinfo(1, "S").source
    local path = source:match("^@(.*)$")
    local folder = path and (path:match("^(.*)[/\\][^/\\]*$") or ".")
    if not folder then
        return folders
    end
    local love = rawget(_G, "love")
    local fs = love and love.filesystem
    if fs then
        for _, root in ipairs({ "getRealDirectory", "getSaveDirectory", "getSource" }) do
            local ok, base = pcall(fs[root], path)
            if ok and type(base) == "string" and base ~= "" then
                folders[#folders + 1] = base .. "/" .. folder
            end
        end
    end
    folders[#folders + 1] = folder
    return folders
end

-- Where to look, in order. A path given by the caller or by the environment is the only one looked
-- at: whoever names a file does not want another.
local function candidates(path, base, variable)
    path = path or os.getenv(variable)
    if path and path ~= "" then
        return { path }
    end
    local list = {}
    local files = names[ffi.os] or names.default
    for _, folder in ipairs(own_folders()) do
        for _, up in ipairs({ "/", "/../" }) do
            for _, file in ipairs(files) do
                list[#list + 1] = folder .. up .. file:format(base)
            end
        end
    end
    list[#list + 1] = base
    for _, file in ipairs(files) do
        list[#list + 1] = file:format(base)
    end
    return list
end

-- Declares the types and functions, once per Lua state: two sets of them cannot live in one.
local function declare()
    local ok, text = pcall(require, prefix .. ".cdef")
    if not ok or type(text) ~= "string" then
        return nil, "the generated file cdef.lua is missing"
    end
    if state.cdef then
        if state.cdef ~= text then
            return nil, "the module on disk is not the one this program started with: restart it"
        end
        return true
    end
    if not pcall(ffi.typeof, "jb_bus") then
        local declared, why = pcall(ffi.cdef, text)
        if not declared then
            return nil, "cdef.lua: " .. tostring(why)
        end
    end
    state.cdef = text
    return true
end

local function version_of(C)
    return tonumber(C.jb_version())
end

-- Before 1.0 only an equal MAJOR.MINOR is compatible.
local function check(C)
    local ok, version = pcall(version_of, C)
    if not ok then
        return nil, "it is not libjimbot"
    end
    local major, minor = math.floor(version / 65536), math.floor(version / 256) % 256
    local want_major, want_minor = ffi.C.JB_VERSION_MAJOR, ffi.C.JB_VERSION_MINOR
    if major ~= want_major or minor ~= want_minor then
        local text = "it is version %d.%d, this module needs %d.%d"
        return nil, text:format(major, minor, want_major, want_minor)
    end
    return true
end

local function try(path)
    local ok, C = pcall(ffi.load, path)
    if not ok then
        return nil, tostring(C)
    end
    local fits, why = check(C)
    if not fits then
        return nil, path .. ": " .. why
    end
    return C
end

--- Load the library; a second call answers from the first.
-- @param path  a file, or nil to search
-- @return the namespace, or nil and one sentence
function library.load(path)
    if state.C then
        return state.C
    end
    if not has_ffi then
        return nil, "this Lua has no ffi"
    end
    local declared, why = declare()
    if not declared then
        return nil, why
    end
    local reason
    for _, candidate in ipairs(candidates(path, "jimbot", "JIMBOT_LIBRARY")) do
        local C, failure = try(candidate)
        if C then
            state.C, state.path = C, candidate
            return C
        end
        -- A library that is there but does not fit says more than one that is not there.
        if not reason or failure:find("it is ", 1, true) then
            reason = failure
        end
    end
    return nil, reason
end

--- Load the library of clients, after the first one, with which it goes.
-- @param path  a file, or nil to search; $JIMBOT_CLIENT_LIBRARY names one too
-- @return the namespace, or nil and one sentence
function library.load_client(path)
    if state.K then
        return state.K
    elseif state.K_failure and not path then
        return nil, state.K_failure
    end
    for _, candidate in ipairs(candidates(path, "jimbot-client", "JIMBOT_CLIENT_LIBRARY")) do
        local ok, K = pcall(ffi.load, candidate)
        if ok then
            state.K, state.K_failure = K, nil
            return K
        end
        state.K_failure = state.K_failure or tostring(K)
    end
    return nil, state.K_failure
end

--- The walk in C, where it is built and Lua's own loader or the module's folder has it; or nil.
function library.walk()
    local ok, walk = pcall(require, prefix .. ".walk")
    if ok and type(walk) == "function" then
        return walk
    end
    for _, folder in ipairs(own_folders()) do
        local open = package.loadlib(folder .. "/walk.so", "luaopen_jimbot_walk")
        if open then
            return open()
        end
    end
end

return library
