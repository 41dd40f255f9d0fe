"""Reads an event with the package for Python and prints what is in it."""

import sys

from jimbot.v1 import admin_pb2, event_bus_pb2, event_pb2, resource_coordinator_pb2

with open(sys.argv[1], "rb") as file:
    event = event_pb2.Event.FromString(file.read())
state = event.game_state
print("type", event.type, event_pb2.EventType.Name(event.type))
print("payload", event.WhichOneof("payload") == "game_state")
print("ante", state.ante if state.HasField("ante") else "absent")
print("hand_number", state.hand_number if state.HasField("hand_number") else "absent")
print("chips", state.chips == float("inf"), state.non_finite)
print("money", int(state.money))
print("round", state.round)
print("card", state.hand[0].rank, state.hand[0].suit)
print("score", state.score_history["a"])
print("phase", state.game_state)
print("extra", state.extras[0].key, state.extras[0].json)
services = [m.DESCRIPTOR.services_by_name for m in (admin_pb2, event_bus_pb2, resource_coordinator_pb2)]
assert [list(s) for s in services] == [["AdminService"], ["EventBus"], ["ResourceCoordinator"]]
