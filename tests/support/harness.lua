-- harness: the few lines a Lua test program needs. A test fails by throwing; finish() prints how
-- many passed and ends the process with 1 if any did not.

local harness = {}
local passed, failed = 0, 0

function harness.test(name, body)
    local ok, why = xpcall(body, debug.traceback)
    if ok then
        passed = passed + 1
    else
        failed = failed + 1
        print("FAILED " .. name .. "\n  " .. tostring(why))
    end
    collectgarbage()
end

function harness.equal(got, want, what)
    if got ~= want then
        local text = "%s: got %s, want %s"
        error(text:format(what or "value", tostring(got), tostring(want)), 2)
    end
end

local function differs(a, b, path)
    if type(a) ~= "table" or type(b) ~= "table" then
        local same = a == b or (a ~= a and b ~= b)
        return not same and ("%s: got %s, want %s"):format(path, tostring(a), tostring(b)) or nil
    end
    for key, value in pairs(a) do
        local why = differs(value, b[key], path .. "." .. tostring(key))
        if why then
            return why
        end
    end
    for key in pairs(b) do
        if a[key] == nil then
            return path .. "." .. tostring(key) .. " is missing"
        end
    end
end

--- Deep comparison of two values.
function harness.same(got, want, what)
    local why = differs(got, want, what or "value")
    if why then
        error(why, 2)
    end
end

--- A name for a bus that no other test of this machine uses.
function harness.bus_name(what)
    local unique = tostring({}):match("%x+$")
    return ("test-lua-%s-%d-%s"):format(what, os.time() % 100000, unique:sub(-8))
end

function harness.finish()
    print(("%d passed, %d failed"):format(passed, failed))
    os.exit(failed == 0 and passed > 0 and 0 or 1)
end

return harness
