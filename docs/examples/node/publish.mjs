// Requests one capture: node publish.mjs TRADE_ID AMOUNT CURRENCY ORDER_ID AUTHORIZED_AT
// If it succeeds, the job is stored. After any error, run it again: a repeated
// job captures once.
import { createHash } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const [trade_id, amount, currency, order_id, authorized_at] = process.argv.slice(2);
if (!authorized_at) {
  console.error("usage: node publish.mjs TRADE_ID AMOUNT CURRENCY ORDER_ID AUTHORIZED_AT");
  process.exit(1);
}

// Amounts are strings: a binary fraction loses cents.
const body = JSON.stringify({ trade_id, amount, currency, order_id, authorized_at });
// Equal jobs within the stream's duplicate window are stored once.
const msgID = createHash("sha256").update(body).digest("hex");

const nc = await connect({ servers: process.env.NATS_URL });
try {
  const stored = await jetstream(nc).publish("capture.jobs.shipped", body, { msgID, timeout: 10_000 });
  console.log(`stored in ${stored.stream} as ${stored.seq}, again: ${stored.duplicate}`);
} catch (err) {
  console.error("the job may not be stored, publish it again:", err.message);
  process.exitCode = 1;
} finally {
  await nc.close();
}
