// Stores the outcomes of captures in a folder, one file per event, until it is
// stopped: node consume.mjs FOLDER
// The folder represents a table whose key is the event's id.
import { access, link, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { randomUUID } from "node:crypto";

// fail ends the program with one line.
function fail(text) {
  console.error(text);
  process.exit(1);
}

const noPackages = () => fail("the packages are not installed: run npm ci in this folder");
const { connect, nanos } = await import("@nats-io/transport-node").catch(noPackages);
const { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } = await import("@nats-io/jetstream").catch(noPackages);

const folder = process.argv[2];
if (!folder) fail("usage: node consume.mjs FOLDER");
await access(folder).catch(() => fail(`there is no folder ${folder}: create it first`));

const servers = process.env.NATS_URL ?? "nats://127.0.0.1:4222"; // may hold a password: it is not printed
const nc = await connect({ servers, maxReconnectAttempts: -1 }).catch((err) =>
  fail(`no connection to NATS (${err.message}): start nats-server, or set NATS_URL`));
const messages = await subscribe().catch((err) => {
  if (err.name === "StreamNotFoundError") {
    fail("there is no stream CAPTURES yet: start `capture-worker run`, which creates it");
  }
  fail(`the consumer cannot be created: ${err.message}`);
});
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => messages.close());
}

try {
  for await (const m of messages) {
    try {
      await book(m);
    } catch (err) {
      console.error("trying again in 5s:", err.message);
      m.nak(5_000); // if it is lost, ack_wait has the same effect
      continue;
    }
    m.ack(); // if it is lost, the event is redelivered and recognized by its id
  }
} catch (err) {
  fail(`the consumer has ended (${err.message}): start again, which creates it`);
}
await nc.drain();

// Creates the durable consumer, which keeps the position: use a different name in
// each program.
async function subscribe() {
  const manager = await jetstreamManager(nc);
  await manager.consumers.add("CAPTURES", {
    durable_name: "shop",
    filter_subjects: ["captures.*.captured", "captures.*.failed", "captures.*.parked"],
    deliver_policy: DeliverPolicy.All,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(30_000),
    max_deliver: -1,
  });
  const consumer = await jetstream(nc).consumers.get("CAPTURES", "shop");
  return consumer.consume({ abort_on_missing_resource: true });
}

// Stores the event unless it is stored already. Process it in the same
// transaction, so that both happen or neither.
async function book(m) {
  const { id, type, trade_id, order_id, amount, currency, reason, corrects } = m.json();
  // corrects is the id of the outcome that this one replaces. The outcome with the
  // highest sequence is the current one.
  const row = { id, type, trade_id, order_id, amount, currency, reason, corrects, sequence: m.seq };
  if (await insert(row)) {
    console.log(`${type} ${trade_id}: ${amount} ${currency} ${reason ?? ""}`);
  }
}

// INSERT ... ON CONFLICT (id) DO NOTHING for a folder: atomic, and once.
async function insert(row) {
  const draft = join(folder, `.draft-${randomUUID()}`);
  const file = await open(draft, "wx");
  try {
    await file.writeFile(JSON.stringify(row));
    await file.sync();
    await link(draft, join(folder, `${encodeURIComponent(row.id)}.json`));
    return true;
  } catch (err) {
    if (err.code === "EEXIST") return false;
    throw err;
  } finally {
    await file.close();
    await rm(draft, { force: true });
  }
}
