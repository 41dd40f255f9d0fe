-- jimbot.client_open: how a client begins and ends: options, encoder, finalizer.
--
-- Invariant: the finalizer knows bare pointers only; with the object in reach it would never be
-- collected. What could not be opened whole is closed again.

local flags = {
    rest_fallback = "JB_CLIENT_REST_FALLBACK",
    drop_oldest = "JB_CLIENT_DROP_OLDEST",
    no_ids = "JB_CLIENT_NO_IDS",
    tls_any = "JB_CLIENT_TLS_ANY",
}

local function create(C, K, ffi, new_client, encoder_options)
    local err = ffi.new("jb_error")

    local function fill_options(opts)
        local o = ffi.new("jb_client_opts")
        K.jb_client_opts_init(o, ffi.sizeof(o))
        for name, flag in pairs(flags) do
            o.flags = o.flags + (opts[name] and C[flag] or 0)
        end
        for _, field in ipairs({ "token", "tls_ca", "tls_cert", "tls_key", "name" }) do
            o[field] = opts[field]
        end
        o.buffer_bytes = opts.buffer_bytes or o.buffer_bytes
        for _, field in ipairs({ "connect_timeout", "backoff_min", "backoff_max", "idle", "poll" }) do
            o[field .. "_ns"] = opts[field] and opts[field] * 1e9 or o[field .. "_ns"]
        end
        return o
    end

    -- Ends a client and what was opened on it; answers how many events were left.
    local function finisher(children, encoder)
        return function(handle, flush_ns)
            for id, sub in pairs(children) do
                children[id] = nil
                K.jb_client_sub_close(sub)
            end
            local left = K.jb_client_close(handle, flush_ns or 0)
            C.jb_encoder_destroy(encoder)
            return tonumber(left)
        end
    end

    local function fail(rc)
        return nil, ffi.string(err.msg[0] ~= 0 and err.msg or C.jb_strerror(rc)), rc
    end

    local function open_handles(url, opts)
        local encoding, complaint = encoder_options(opts)
        if not encoding then
            return nil, complaint, C.JB_EINVAL
        end
        local client, encoder = ffi.new("jb_client *[1]"), ffi.new("jb_encoder *[1]")
        C.jb_error_init(err)
        local rc = K.jb_client_open(url, fill_options(opts), client, err)
        if rc < 0 then
            return fail(rc)
        end
        rc = C.jb_encoder_create(encoding, encoder, err)
        if rc < 0 then
            K.jb_client_close(client[0], 0)
            return fail(rc)
        end
        return client[0], encoder[0]
    end

    return function(url, opts)
        if type(url) ~= "string" then
            return nil, "the address is not a text", C.JB_EINVAL
        end
        local handle, encoder, code = open_handles(url, opts)
        if not handle then
            return nil, encoder, code
        end
        local children = {}
        local finish = finisher(children, encoder)
        local collected = ffi.gc(handle, function(p)
            finish(p, 0)
        end)
        local client = new_client(collected, encoder, finish, children, opts)
        if opts.commands ~= false then
            local why
            client.command_sub, why, code = client:subscribe("command.>")
            if not client.command_sub then
                client:close()
                return nil, why, code
            end
        end
        return client
    end
end

return { create = create }
