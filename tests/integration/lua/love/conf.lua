-- LÖVE without a display: no window, and no module that would open one or a sound device.
function love.conf(t)
    t.identity = "jimbot-test"
    t.window = nil
    for _, module in ipairs({ "audio", "font", "graphics", "image", "joystick", "keyboard", "math",
        "mouse", "physics", "sound", "system", "touch", "video", "window" }) do
        t.modules[module] = false
    end
end
