// Requests one capture: node publish.mjs TRADE_ID AMOUNT CURRENCY ORDER_ID AUTHORIZED_AT
// If it succeeds, the job is stored. After any error, run it again: a repeated
// job captures once.
import { createHash } from "node:crypto";

// fail ends the program with one line.
function fail(text) {
  console.error(text);
  process.exit(1);
}

const noPackages = () => fail("the packages are not installed: run npm ci in this folder");
const { connect } = await import("@nats-io/transport-node").catch(noPackages);
const { jetstream } = await import("@nats-io/jetstream").catch(noPackages);

const [trade_id, amount, currency, order_id, authorized_at] = process.argv.slice(2);
if (!authorized_at) fail("usage: node publish.mjs TRADE_ID AMOUNT CURRENCY ORDER_ID AUTHORIZED_AT");

// Amounts are strings: a binary fraction loses cents.
const body = JSON.stringify({ trade_id, amount, currency, order_id, authorized_at });
// Equal jobs within the stream's duplicate window are stored once.
const msgID = createHash("sha256").update(body).digest("hex");

const servers = process.env.NATS_URL ?? "nats://127.0.0.1:4222"; // may hold a password: it is not printed
const nc = await connect({ servers }).catch((err) =>
  fail(`no connection to NATS (${err.message}): start nats-server, or set NATS_URL`));
try {
  const stored = await jetstream(nc).publish("capture.jobs.shipped", body, { msgID, timeout: 10_000 });
  console.log(`stored in ${stored.stream} as ${stored.seq}, again: ${stored.duplicate}`);
} catch (err) {
  if (err.name === "JetStreamNotEnabled") { // no stream has answered
    console.error("the job is not stored, no stream takes capture.jobs.shipped: start `capture-worker run`, which creates it, then publish it again");
  } else {
    console.error("the job may not be stored, publish it again:", err.message);
  }
  process.exitCode = 1;
} finally {
  await nc.close();
}
