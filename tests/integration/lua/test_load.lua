-- Loading: where the library is looked for, and what happens when it is missing or wrong. Each case
-- is a LuaJIT process of its own, since a library stays loaded for the life of a Lua state. arg[1]:
-- the right library; arg[2]: one of another version; arg[3]: the folder of the Lua files.

local harness = require("harness")
local test, equal = harness.test, harness.equal
local library, wrong, lua_dir = arg[1], arg[2], arg[3]
local joff = jit.status() and "" or "-joff"

local prelude = [[
local warnings = 0
local jimbot = require("jimbot")
jimbot.warn = function(text) warnings = warnings + 1; io.write("W:", text, "\n") end
]]

local function run(environment, script)
    local file = os.tmpname()
    local out = assert(io.open(file, "w"))
    out:write(prelude, script)
    out:close()
    local command = ("env %s luajit %s %s 2>&1"):format(environment, joff, file)
    local pipe = assert(io.popen(command))
    local text = pipe:read("*a")
    pipe:close()
    os.remove(file)
    return text
end

local function quoted(variable, path)
    return ("%s='%s'"):format(variable, path)
end

local attempt = [[
local bus, why = jimbot.open("x")
local again = jimbot.open("x")
print(bus, again, #why > 0, warnings, jimbot.available(), jimbot.null:publish("A", {}))
]]
local no_bus = "nil\tnil\ttrue\t1\tfalse\tfalse"

test("a missing library: no error, one warning, nil and a sentence", function()
    local text = run(quoted("JIMBOT_LIBRARY", "/nonexistent/libjimbot.so"), attempt)
    assert(text:find(no_bus, 1, true), text)
    assert(text:find("W:.*nonexistent"), text)
end)

test("a library of another version: refused, both versions named", function()
    local text = run(quoted("JIMBOT_LIBRARY", wrong), attempt)
    assert(text:find(no_bus, 1, true), text)
    assert(text:find("version 9.7, this module needs 0.1", 1, true), text)
end)

test("a file that is no library, and a library that is not ours", function()
    for _, path in ipairs({ arg[0], "libm.so.6" }) do
        local text = run(quoted("JIMBOT_LIBRARY", path), attempt)
        assert(text:find(no_bus, 1, true), text)
    end
end)

test("after a failure a path given by hand still works", function()
    local text = run(quoted("JIMBOT_LIBRARY", "/nonexistent"), ([[
        print(jimbot.open("x") == nil, jimbot.load(%q), jimbot.available(), jimbot.open(nil) ~= nil)
    ]]):format(library))
    assert(text:find("true\ttrue\ttrue\ttrue", 1, true), text)
end)

test("a path in open() is used", function()
    local script = [[print(jimbot.open(nil, { library = %q }) ~= nil, jimbot.path())]]
    local text = run("-u JIMBOT_LIBRARY", script:format(library))
    assert(text:find("true\t" .. library, 1, true), text)
end)

test("the library next to the module is found", function()
    local folder = os.tmpname()
    os.remove(folder)
    local copy = "mkdir '%s' && cp -r '%s/jimbot' '%s/' && cp '%s' '%s/jimbot/libjimbot.so'"
    equal(os.execute(copy:format(folder, lua_dir, folder, library, folder)), 0)
    local path = ("%s/?/init.lua;%s/?.lua"):format(folder, folder)
    local environment = "-u JIMBOT_LIBRARY " .. quoted("LUA_PATH", path)
    local text = run(environment, "print(jimbot.open(nil) ~= nil, jimbot.path(), warnings)")
    os.execute(("rm -r '%s'"):format(folder))
    assert(text:find("true\t" .. folder .. "/jimbot/libjimbot.so\t0", 1, true), text)
end)

test("a missing cdef.lua is one warning", function()
    local script = [[
        package.preload["jimbot.cdef"] = function() error("gone") end
    ]] .. attempt
    local text = run(quoted("JIMBOT_LIBRARY", library), script)
    assert(text:find(no_bus, 1, true), text)
end)

test("a reload keeps the module table, open buses and subscriptions", function()
    local script = [[
        local bus = assert(jimbot.open(nil))
        local sub = bus:subscribe(">")
        for round = 1, 3 do
            for name in pairs(package.loaded) do
                if name:match("^jimbot") and name ~= "jimbot.state" then
                    package.loaded[name] = nil
                end
            end
            assert(require("jimbot") == jimbot)
            assert(bus:publish("HEARTBEAT", { uptime = round }))
            assert(#sub:poll() == 1)
            assert(jimbot.open(nil)):close()
        end
        print("reloaded", warnings)
    ]]
    local text = run(quoted("JIMBOT_LIBRARY", library), script)
    assert(text:find("reloaded\t0", 1, true), text)
end)

test("declarations that changed on disk are refused", function()
    local script = [[
        assert(jimbot.load())
        local state = package.loaded["jimbot.state"]
        state.C = nil
        package.loaded["jimbot.cdef"] = require("jimbot.cdef") .. " typedef int jb_new;"
        print(jimbot.open(nil))
    ]]
    local text = run(quoted("JIMBOT_LIBRARY", library), script)
    assert(text:find("restart it", 1, true), text)
end)

test("the end of a program with everything open is clean", function()
    local script = [[
        bus = assert(jimbot.open(nil))
        sub = bus:subscribe(">")
        bus:publish("HEARTBEAT", {})
        print("end")
    ]]
    local text = run(quoted("JIMBOT_LIBRARY", library), script)
    equal(text, "end\n")
end)

harness.finish()
