-- jimbot.child: what is opened on a bus or a client, and ends before it.
--
-- Invariant: the parent's list holds bare pointers and no objects, so that the parent's finalizer
-- can close what is left and the collector can still find an object lost. Each is closed once.

local function create(ffi)
    local child = {}

    --- Put what the library wrote to out[0] into the parent's list.
    -- @return the handle, which closes it when it is collected, and its place in the list
    function child.adopt(list, out, close)
        local id = #list + 1
        list[id] = out[0] -- each look at it makes a pointer of its own
        local handle = ffi.gc(out[0], function(p)
            if list[id] then
                list[id] = nil
                close(p)
            end
        end)
        return handle, id
    end

    --- Close what adopt() gave an object as `handle` and `id`. The second time does nothing.
    function child.close(object, list, close)
        local handle = object.handle
        if handle then
            object.handle, list[object.id] = nil, nil
            close(ffi.gc(handle, nil))
        end
    end

    --- Set the fields of options that are said by words.
    function child.choose(o, words, opts)
        for name, values in pairs(words) do
            local word = opts[name]
            if word ~= nil then
                o[name] = values[word] or error("no " .. name .. ": " .. tostring(word), 0)
            end
        end
    end

    return child
end

return { create = create }
