// Stores the outcomes of captures in a folder, one file per event, until it is
// stopped: node consume.mjs FOLDER
// The folder represents a table whose key is the event's id.
import { link, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";

const folder = process.argv[2];
if (!folder) {
  console.error("usage: node consume.mjs FOLDER");
  process.exit(1);
}

const nc = await connect({ servers: process.env.NATS_URL, maxReconnectAttempts: -1 });
const manager = await jetstreamManager(nc);
// The durable consumer keeps the position: use a different name in each program.
await manager.consumers.add("CAPTURES", {
  durable_name: "shop",
  filter_subjects: ["captures.*.captured", "captures.*.failed", "captures.*.parked"],
  deliver_policy: DeliverPolicy.All,
  ack_policy: AckPolicy.Explicit,
  ack_wait: nanos(30_000),
  max_deliver: -1,
});
const consumer = await jetstream(nc).consumers.get("CAPTURES", "shop");
const messages = await consumer.consume();
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => messages.close());
}

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
await nc.drain();

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
