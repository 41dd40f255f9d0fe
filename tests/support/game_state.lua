-- game_state: a full game state as the BalatroMCP mod extracts it in the middle of a run, made from
-- a seed: 52 cards in the deck, the next 5 of them, 8 in hand, 5 jokers, 2 consumables, a shop of
-- 5, a blind. As JSON text about 10 KB, a little more than the largest of the mod's own.

local ranks = { "2", "3", "4", "5", "6", "7", "8", "9", "10", "Jack", "Queen", "King", "Ace" }
local suits = { "Hearts", "Clubs", "Diamonds", "Spades" }
local enhancements = { "none", "none", "none", "bonus", "mult", "glass", "steel", "gold" }
local editions = { "none", "none", "none", "foil", "holo", "polychrome" }
local seals = { "none", "none", "none", "Gold", "Red", "Blue", "Purple" }

local function generator(seed)
    local x = seed % 2147483647
    return function(n)
        x = (x * 16807) % 2147483647
        return x % n + 1
    end
end

local function card(pick, id, position)
    return {
        id = id,
        rank = ranks[pick(#ranks)],
        suit = suits[pick(#suits)],
        enhancement = enhancements[pick(#enhancements)],
        edition = editions[pick(#editions)],
        seal = seals[pick(#seals)],
        position = position,
    }
end

local function cards(pick, n, with_position)
    local list = {}
    for i = 1, n do
        list[i] = card(pick, i, with_position and i - 1 or nil)
    end
    return list
end

local function jokers(pick, n)
    local list = {}
    for i = 1, n do
        list[i] = {
            id = "j_" .. pick(1000),
            name = "Joker " .. pick(150),
            position = i - 1,
            properties = {
                mult = pick(40),
                chips = pick(100),
                cost = pick(10),
                sell_value = pick(5),
                edition = editions[pick(#editions)],
            },
        }
    end
    return list
end

local function shop(pick)
    local items = {}
    for i, name in ipairs({ "joker_1", "joker_2", "booster_1", "booster_2", "voucher_1" }) do
        items[name] = { name = "Item " .. pick(150), cost = pick(10) }
        items[name].rarity = i < 3 and pick(4) or nil
    end
    return items
end

local function consumables(pick, n)
    local list = {}
    for i = 1, n do
        list[i] = {
            id = "c_" .. pick(50),
            name = "The Fool",
            card_type = "Tarot",
            position = i - 1,
            properties = { cost = 3, edition = "none" },
        }
    end
    return list
end

return function(seed)
    local pick = generator(seed or 1)
    return {
        in_game = true,
        game_id = "game-" .. pick(100000),
        ante = pick(8),
        round = pick(24),
        hand_number = pick(4),
        chips = pick(100000) + 0.5,
        mult = pick(400),
        money = pick(60),
        hand_size = 8,
        hands_remaining = pick(4),
        discards_remaining = pick(3),
        score_history = {},
        jokers = jokers(pick, 5),
        hand = cards(pick, 8, true),
        deck = {
            remaining_count = 44,
            cards_remaining = cards(pick, 5, false),
            full_deck = cards(pick, 52, false),
        },
        consumables = consumables(pick, 2),
        shop_items = shop(pick),
        game_state = "SHOP",
        ui_state = "SHOP",
        blind = {
            name = "Big Blind",
            chips = 450 * pick(20),
            chip_text = "450",
            mult = 1.5,
            defeated = false,
            boss = false,
        },
        timestamp = 1000016.6666667,
        frame_count = pick(100000),
    }
end
