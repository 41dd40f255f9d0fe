-- game.lua: a card table that behaves as far as its events go like Balatro: deals, blinds, hands, shops, jokers.
--
-- Invariant: the game changes only in its own functions, and whatever changes is told through emit() in the shapes that
-- the BalatroMCP mod uses, empty lists as empty tables included. It decides nothing by itself: obey() takes a command,
-- actions() says which ones are open now.

local Game = {}
Game.__index = Game

local suits = { "Hearts", "Diamonds", "Clubs", "Spades" }
local ranks = { "2", "3", "4", "5", "6", "7", "8", "9", "10", "Jack", "Queen", "King", "Ace" }
local enhancements = { "none", "none", "none", "bonus", "mult", "wild", "glass", "steel", "stone", "gold" }
local editions = { "none", "none", "none", "foil", "holographic", "polychrome", "negative" }
local seals = { "none", "none", "none", "Gold", "Red", "Blue", "Purple" }
local joker_names = { "Joker", "Greedy Joker", "Half Joker", "Abstract Joker", "Even Steven", "Blueprint", "Baron" }
local blind_names = { "Small Blind", "Big Blind", "The Hook" }

local function pick(list)
    return list[math.random(#list)]
end

local function new_card(id, suit, rank)
    return { id = id, suit = suit, rank = rank, enhancement = pick(enhancements), edition = pick(editions),
        seal = pick(seals) }
end

local function new_deck()
    local deck = {}
    for _, suit in ipairs(suits) do
        for _, rank in ipairs(ranks) do
            deck[#deck + 1] = new_card(#deck + 1, suit, rank)
        end
    end
    return deck
end

--- A new game. emit(type, payload, extra) is called for each event; extra may hold subtype and priority.
function Game.new(emit, seed)
    math.randomseed(seed)
    local game = setmetatable({
        emit = emit, id = ("SEED%04d"):format(seed), phase = "MENU", frame = 0, money = 4, ante = 1, round = 0,
            chips = 0,
        mult = 0, hands = 4, discards = 3, played = 0, next_card = 1000, deck = new_deck(), hand = {}, jokers = {},
        consumables = {}, shop = {},
    }, Game)
    emit("GAME_START", { game_id = game.id, deck = "Red Deck", stake = 1, seed = game.id })
    return game
end

function Game:blind()
    local stage = (self.round - 1) % 3 + 1
    local chips = 300 * self.ante * (stage + 1) / 2
    local is_boss = stage == 3
    return { name = blind_names[stage], chips = chips, chip_text = tostring(chips),
        mult = stage == 2 and 1.5 or stage == 3 and 2 or 1,
        defeated = self.chips >= chips, boss = is_boss and { showdown = self.ante % 8 == 0 } or false }
end

--- The whole state, as the mod sends it.
function Game:state()
    local remaining = {}
    for i = 1, 5 do
        remaining[i] = self.deck[i]
    end
    return {
        in_game = true, game_id = self.id, game_state = self.phase, ui_state = "1", ante = self.ante,
            round = self.round,
        hand_number = self.played, chips = self.chips, mult = self.mult, money = self.money, hand_size = 8,
        hands_remaining = self.hands, discards_remaining = self.discards, score_history = {}, jokers = self.jokers,
        hand = self.hand, deck = { remaining_count = #self.deck, cards_remaining = remaining, full_deck = self.deck },
        consumables = self.consumables, shop_items = self.shop, blind = self.round > 0 and self:blind() or nil,
        timestamp = os.time(), frame_count = self.frame,
    }
end

function Game:set_phase(phase)
    if phase ~= self.phase then
        local old = self.phase
        self.phase = phase
        self.emit("PHASE_CHANGED", { old_phase = old, new_phase = phase })
    end
end

function Game:set_money(value)
    local old = self.money
    self.money = value
    self.emit("MONEY_CHANGED", { old_value = old, new_value = value, difference = value - old })
end

function Game:deal()
    self.hand = {}
    for i = 1, 8 do
        self.next_card = self.next_card + 1
        self.hand[i] = new_card(self.next_card, pick(suits), pick(ranks))
        self.hand[i].position = i - 1
    end
    self.emit("GAME_STATE", self:state())
end

function Game:begin_round()
    self.round = self.round + 1
    self.ante = math.floor((self.round - 1) / 3) + 1
    self.hands, self.discards, self.chips, self.mult, self.played = 4, 3, 0, 0, 0
    self.emit("ROUND_CHANGED", { ante = self.ante, round = self.round })
    self:set_phase("BLIND_SELECT")
    self.emit("GAME_STATE", self:state())
end

function Game:trigger_jokers()
    for _, joker in ipairs(self.jokers) do
        local gain = math.random(5, 40) * self.ante
        self.emit("JOKER_TRIGGER", { joker_name = joker.name, context_type = true, timestamp = self.frame },
            { priority = "low" })
        self.emit("SCORING", { joker = { name = joker.name, id = joker.id, position = joker.position },
            score_contribution = gain, current_total = self.chips, timestamp = self.frame },
                { subtype = "JOKER_TRIGGER" })
        self.chips = self.chips + gain
    end
end

function Game:play_hand()
    local old_chips, old_mult = self.chips, self.mult
    self.emit("SCORING", { hand_number = self.played, round = self.round, ante = self.ante,
        starting_score = old_chips },
        { subtype = "HAND_EVAL_START" })
    self.mult = math.random(2, 12)
    self.chips = self.chips + math.random(10, 60) * self.mult * self.ante
    self.emit("SCORING", { chips = self.chips, old_chips = old_chips }, { subtype = "CHIPS_UPDATE" })
    self.emit("SCORING", { mult = self.mult, old_mult = old_mult }, { subtype = "MULT_UPDATE" })
    self:trigger_jokers()
    self.emit("SCORING", { current_total = self.chips, delta = self.chips - old_chips }, { subtype = "SCORE_UPDATE" })
    self.emit("SCORING", { hand_number = self.played + 1, round = self.round, ante = self.ante,
        starting_score = old_chips,
        final_score = self.chips, total_delta = self.chips - old_chips, joker_triggers = #self.jokers },
        { subtype = "HAND_EVAL_COMPLETE", priority = "high" })
    self.hands, self.played = self.hands - 1, self.played + 1
    self.emit("SCORE_CHANGED", { old_chips = old_chips, new_chips = self.chips, old_mult = old_mult,
        new_mult = self.mult })
    self.emit("HAND_PLAYED", { hands_remaining = self.hands, hand_number = self.played })
    if self.chips >= self:blind().chips or self.hands == 0 then
        self:end_round()
    else
        self:deal()
    end
end

function Game:end_round()
    self:set_phase("ROUND_EVAL")
    self.emit("BLIND_DEFEATED", { blind = self:blind(), ante = self.ante, round = self.round })
    self.emit("ROUND_COMPLETE", { ante = self.ante, round = self.round, score = self.chips, money = self.money })
    self:set_money(self.money + 5 + self.hands)
    self.shop = {}
    for i = 1, 2 do
        self.shop["joker_" .. i] = { name = pick(joker_names), cost = math.random(2, 8), rarity = math.random(3) }
    end
    self.shop.voucher_1 = { name = "Overstock", cost = 10 }
    self:set_phase("SHOP")
    self.emit("SHOP_ENTERED", { ante = self.ante, round = self.round, money = self.money, shop_items = self.shop })
    self.emit("GAME_STATE", self:state())
end

function Game:buy_joker()
    local item = self.shop.joker_1
    self.shop.joker_1 = nil
    self:set_money(self.money - item.cost)
    if #self.jokers == 5 then
        self:sell_joker()
    end
    self.next_card = self.next_card + 1
    self.jokers[#self.jokers + 1] = { id = self.next_card, name = item.name, position = #self.jokers,
        properties = { mult = math.random(3, 20), chips = math.random(10, 90), cost = item.cost, sell_value = 2,
            edition = pick(editions) } }
    self.emit("CARD_PURCHASED", { name = item.name, cost = item.cost })
    self.emit("JOKERS_CHANGED", { old_count = #self.jokers - 1, new_count = #self.jokers, jokers = self.jokers })
end

function Game:sell_joker()
    local sold = table.remove(self.jokers, 1)
    for i, joker in ipairs(self.jokers) do
        joker.position = i - 1
    end
    self.emit("CARD_SOLD", { name = sold.name, sell_value = 2 })
    self:set_money(self.money + 2)
end

local obey = {}

function obey.select_blind(game)
    game:set_phase("PLAYING")
    game:deal()
end

function obey.play_hand(game)
    game:play_hand()
end

function obey.discard(game)
    game.discards = game.discards - 1
    game.emit("CARDS_DISCARDED", { discards_remaining = game.discards })
    local card = pick(game.deck)
    card.enhancement = "glass"
    game.emit("CARD_ENHANCED", { card = card, enhancement = "glass" })
    game:deal()
end

function obey.buy_joker(game)
    game:buy_joker()
end

function obey.skip_shop(game)
    game.shop = {}
    game:begin_round()
end

--- Names of the commands that make sense now.
function Game:actions()
    if self.phase == "BLIND_SELECT" then
        return { "select_blind" }
    elseif self.phase == "PLAYING" then
        return self.discards > 0 and { "play_hand", "discard" } or { "play_hand" }
    end
    local item = self.shop.joker_1
    return item and item.cost <= self.money and { "buy_joker", "skip_shop" } or { "skip_shop" }
end

--- Do what a command says. False when it is not open now.
function Game:obey(name)
    for _, open in ipairs(self:actions()) do
        if open == name then
            obey[name](self)
            return true
        end
    end
    return false
end

return Game
