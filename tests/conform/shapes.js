// Every shape of call of jimbot.v1.EventBus through @grpc/grpc-js, one JSON line of what was seen.
// usage: node shapes.js HOST:PORT FOLDER_OF_PROTO
"use strict";

const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [address, folder] = process.argv.slice(2);
const options = { includeDirs: [folder], longs: Number, enums: String, oneofs: true };
const contract = grpc.loadPackageDefinition(loader.loadSync("jimbot/v1/event_bus.proto", options));
const client = new contract.jimbot.v1.EventBus(address, grpc.credentials.createInsecure());

function event(value) {
    const money = { type: "EVENT_TYPE_MONEY_CHANGED", source: "node", moneyChanged: { newValue: value } };
    return { event: money };
}

function unary(method, request) {
    return new Promise((resolve, reject) => {
        const deadline = Date.now() + 20000;
        client[method](request, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
}

// A subscription that has begun, and what it has seen so far.
function subscribe() {
    const seen = { n: 0, ended: null };
    const stream = client.Subscribe({ patterns: ["game.>"], policy: "DELIVERY_POLICY_LOSSLESS" });
    stream.on("data", (response) => (seen.n += response.events.length));
    seen.ended = new Promise((resolve) => stream.on("error", (error) => resolve(grpc.status[error.code])));
    return new Promise((resolve) => stream.on("metadata", () => resolve([stream, seen])));
}

function publishMany(n) {
    return new Promise((resolve, reject) => {
        const call = client.PublishMany((error, answer) => (error ? reject(error) : resolve(answer)));
        for (let i = 0; i < n; i++) call.write({ events: [event(i)] });
        call.end();
    });
}

function publishStream(n) {
    return new Promise((resolve, reject) => {
        const call = client.PublishStream();
        let answered = 0;
        call.on("data", () => answered++);
        call.on("error", reject);
        call.on("end", () => resolve(answered));
        for (let i = 1; i <= n; i++) call.write({ requestId: i, events: [event(i)] });
        call.end();
    });
}

// In one session: a ping, then the end; the number of pongs.
function session() {
    return new Promise((resolve, reject) => {
        const call = client.Session();
        let pongs = 0;
        call.on("data", (response) => {
            pongs += response.step === "pong";
            call.end();
        });
        call.on("error", reject);
        call.on("end", () => resolve(pongs));
        call.write({ requestId: 1, ping: {} });
    });
}

async function until(condition) {
    for (let i = 0; i < 1000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function main() {
    const [stream, seen] = await subscribe();
    const first = await unary("Publish", { events: [event(1), {}] });
    const many = await publishMany(1000);
    const answered = await publishStream(100);
    const pongs = await session();
    const last = await unary("Publish", { events: [event(2)] });
    const wrong = await unary("ListTopics", { pageToken: "no token" }).then(() => "OK", (e) => grpc.status[e.code]);

    await until(() => seen.n >= 1102);
    stream.cancel();
    const results = first.results.map((result) => result.outcome);
    console.log(JSON.stringify({
        publish: results, many: many.nAccepted, stream: answered, session: pongs,
        seen: seen.n + last.results.length - 1, wrong, unsubscribed: await seen.ended,
    }));
    client.close();
}

main().catch((error) => {
    console.error(error.stack);
    process.exit(1);
});
