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
null.ack = refuse
null.nack = refuse
null.remove_group = refuse

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

function null:join()
    return nil, why
end

function null:take()
    return empty
end

function null:ack_all()
    return 0
end

function null:groups()
    return empty
end

function null:stats()
    return nil, why
end

function null:repairs()
    return nil, why
end

function null:close() end

function null:leave() end

return null
