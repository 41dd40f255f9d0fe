"""Numbers of the event types, as in jimbot/event.h; a test holds both together."""

from enum import IntEnum


class EventType(IntEnum):
    """What ``batch.type`` holds."""

    UNSPECIFIED = 0
    CONNECTION_TEST = 1
    HEARTBEAT = 2
    GAME_STATE = 3
    MONEY_CHANGED = 4
    SCORE_CHANGED = 5
    HAND_PLAYED = 6
    CARDS_DISCARDED = 7
    JOKERS_CHANGED = 8
    ROUND_CHANGED = 9
    PHASE_CHANGED = 10
    ROUND_COMPLETE = 11
    JOKER_TRIGGER = 12
    SCORING = 13
    LEARNING_DECISION_REQUEST = 14
    LEARNING_DECISION_RESPONSE = 15
    STRATEGY_REQUEST = 16
    STRATEGY_RESPONSE = 17
    KNOWLEDGE_QUERY = 18
    KNOWLEDGE_UPDATE = 19
    METRIC = 20
    ERROR = 21
    DIAGNOSTIC = 22
    GAME_START = 23
    GAME_OVER = 24
    BLIND_DEFEATED = 25
    SHOP_ENTERED = 26
    CARD_PURCHASED = 27
    CARD_SOLD = 28
    CARD_ENHANCED = 29
    STATE_SNAPSHOT = 30
    COMMAND = 31
    CUSTOM = 32
