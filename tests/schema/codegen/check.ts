// Reads an event with the package for TypeScript and prints what is in it.
import { readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { EventSchema, EventType } from "jimbot-proto/event";
import { EventBus } from "jimbot-proto/event_bus";

const event = fromBinary(EventSchema, readFileSync(process.argv[2]!));
if (event.payload.case !== "gameState") throw new Error(`payload is ${event.payload.case}`);
const state = event.payload.value;
const round: bigint | undefined = state.round;
const python = (value: boolean) => (value ? "True" : "False");
const type = event.type ?? EventType.UNSPECIFIED;
console.log("type", type, `EVENT_TYPE_${EventType[type]}`);
console.log("payload", python(event.payload.case === "gameState"));
console.log("ante", `${state.ante ?? "absent"}`);
console.log("hand_number", `${state.handNumber ?? "absent"}`);
console.log("chips", python(state.chips === Infinity), python(state.nonFinite === true));
console.log("money", state.money);
console.log("round", `${round}`);
console.log("card", state.hand[0]!.rank, state.hand[0]!.suit);
console.log("score", state.scoreHistory["a"]);
console.log("phase", state.gameState);
console.log("extra", state.extras[0]!.key, state.extras[0]!.json);
if (EventBus.method.subscribe.methodKind !== "server_streaming") throw new Error("EventBus.Subscribe");
