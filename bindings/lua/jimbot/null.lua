-- jimbot.null: a bus that does nothing, for a game whose library is missing.
--
-- Invariant: it has every method of a real bus and of a subscription, none of them throws, and none
-- claims success.

local null = { is_null = true }

local why = "the library is not loaded"
local empty = {}

local function refuse()
    return false, why
end

null.publish = refuse
null.publish_event = refuse
null.publish_json = refuse
null.publish_batch = refuse
null.reply = refuse
null.send_command = refuse
null.add = refuse
null.wait = refuse

function null:next_id()
    return nil, why
end

function null:commands()
    return empty
end

function null:poll()
    return empty
end

function null:subscribe()
    return nil, why
end

function null:requester()
    return nil, why
end

function null:stats()
    return nil, why
end

function null:close() end

return null
