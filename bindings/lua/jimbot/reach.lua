-- jimbot.reach: how the mod's client comes to a bus: through shared memory where there is one on
-- this machine, else over the network in the background, else over HTTP.
--
-- Invariant: nothing here waits for a server. What is answered has the methods of a bus.

local reach = {}

-- The mod's own address of its server, http://HOST:PORT/…, as one of a WebSocket.
local function socket_url(http)
    local secure, place = tostring(http):match("^http(s?)://([^/]+)")
    return place and ("ws%s://%s"):format(secure, place) or nil
end

--- @param config  as of the mod's client: jimbot_url is nil for shared memory alone, an address as
--                 of jimbot.connect(), or true: the host and port of event_bus_url
-- @return a bus or a client; or nil and one sentence
function reach.open(jimbot, bus_name, config)
    local opts = { library = config.jimbot_library, source = "BalatroMCP" }
    local url = config.jimbot_url
    opts.peer_name = "BalatroMCP"
    if not url then
        return jimbot.open(bus_name, opts)
    end
    opts.mode = "attach" -- a bus that nobody else opened leads nowhere
    local bus = jimbot.open(bus_name, opts)
    if bus then
        return bus
    end
    if url == true then
        url = socket_url(config.event_bus_url)
    end
    opts.name, opts.rest_fallback, opts.token = "BalatroMCP", true, config.jimbot_token
    opts.client_library = config.jimbot_client_library
    return jimbot.connect(url, opts)
end

--- Whether what open() answered leads to a bus now.
function reach.is_up(bus)
    return bus ~= nil and (bus.state == nil or bus:state() == "up")
end

--- Why not, or nil.
function reach.problem(bus)
    local status = bus and bus.status and bus:status()
    return status and (status.error or status.state) or nil
end

return reach
