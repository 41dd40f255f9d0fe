-- json: reads and writes JSON, so that tests can compare what came back with what was sent. An
-- empty object and an empty list both become {}; null becomes json.null; bare inf and nan are
-- numbers.

local json = { null = setmetatable({}, { __tostring = function() return "null" end }) }
local numbers = { inf = 1 / 0, nan = 0 / 0 }

local escapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local words = { ["true"] = true, ["false"] = false, null = json.null }
local value

local function utf8(code)
    if code < 0x80 then
        return string.char(code)
    elseif code < 0x800 then
        return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64)
    end
    local high = math.floor(code / 4096)
    return string.char(0xE0 + high, 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

local function fail(text, pos)
    error(("not JSON at byte %d: %s"):format(pos, text:sub(pos, pos + 20)), 0)
end

local function skip(text, pos)
    return text:match("^[ \t\r\n]*()", pos)
end

local function read_string(text, pos)
    local stop = pos + 1
    while true do
        local c = text:match('^[^"\\]*()', stop)
        if text:sub(c, c) == '"' then
            local raw = text:sub(pos + 1, c - 1)
            raw = raw:gsub("\\(.)(%x?%x?%x?%x?)", function(kind, hex)
                if kind == "u" then
                    return utf8(tonumber(hex, 16))
                end
                return (escapes[kind] or kind) .. hex
            end)
            return raw, c + 1
        elseif c > #text then
            fail(text, pos)
        end
        stop = c + 2
    end
end

local function read_members(text, pos, close, with_keys)
    local result = {}
    pos = skip(text, pos + 1)
    if text:sub(pos, pos) == close then
        return result, pos + 1
    end
    while true do
        local key, item = #result + 1, nil
        if with_keys then
            key, pos = read_string(text, skip(text, pos))
            pos = skip(text, pos) + 1
        end
        item, pos = value(text, skip(text, pos))
        result[key] = item
        pos = skip(text, pos)
        local c = text:sub(pos, pos)
        if c == close then
            return result, pos + 1
        elseif c ~= "," then
            fail(text, pos)
        end
        pos = pos + 1
    end
end

function value(text, pos)
    local c = text:sub(pos, pos)
    if c == "{" then
        return read_members(text, pos, "}", true)
    elseif c == "[" then
        return read_members(text, pos, "]", false)
    elseif c == '"' then
        return read_string(text, pos)
    end
    local word, stop = text:match("^(%a+)()", pos)
    if word and words[word] ~= nil then
        return words[word], stop
    end
    local sign, name, after = text:match("^(%-?)(%a+)()", pos)
    if numbers[name] then
        return sign == "-" and -numbers[name] or numbers[name], after
    end
    local number
    number, stop = text:match("^(%-?%d+%.?%d*[eE]?[+-]?%d*)()", pos)
    if not number then
        fail(text, pos)
    end
    return tonumber(number), stop
end

function json.decode(text)
    local result, stop = value(text, skip(text, 1))
    if skip(text, stop) <= #text then
        fail(text, stop)
    end
    return result
end

local function encode_string(text)
    return '"' .. text:gsub('[%c"\\]', function(c)
        return ("\\u%04x"):format(c:byte())
    end) .. '"'
end

--- Lists are the tables with an element 1; %.17g keeps every double.
function json.encode(item)
    if item == json.null then
        return "null"
    elseif type(item) == "string" then
        return encode_string(item)
    elseif type(item) ~= "table" then
        return type(item) == "number" and ("%.17g"):format(item) or tostring(item)
    end
    local parts = {}
    if item[1] ~= nil then
        for i, element in ipairs(item) do
            parts[i] = json.encode(element)
        end
        return "[" .. table.concat(parts, ",") .. "]"
    end
    for key, element in pairs(item) do
        parts[#parts + 1] = encode_string(key) .. ":" .. json.encode(element)
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

return json
