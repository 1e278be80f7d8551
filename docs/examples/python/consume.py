"""Stores the outcomes of captures in an SQLite file until it is stopped:

    consume.py outcomes.db
"""
import asyncio
import json
import os
import signal
import sqlite3
import sys

try:
    import nats
    import nats.errors
    import nats.js.errors
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
except ModuleNotFoundError:
    sys.exit("the package is not installed: pip install nats-py")

TABLE = """CREATE TABLE IF NOT EXISTS outcome (
    id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, type TEXT NOT NULL, trade_id TEXT NOT NULL,
    order_id TEXT, amount TEXT, currency TEXT, reason TEXT, corrects TEXT)"""


def book(db, sequence, event):
    """Stores the event unless it is stored already. Process it in the same
    transaction, so that both happen or neither."""
    names = ["id", "type", "trade_id", "order_id", "amount", "currency", "reason", "corrects"]
    with db:  # one transaction
        new = db.execute(
            f"INSERT INTO outcome (sequence, {', '.join(names)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO NOTHING",
            [sequence, *(event.get(name) for name in names)],
        ).rowcount
    if new:
        print(event["type"], event["trade_id"], event.get("amount"), event.get("currency"), event.get("reason"))


async def connect():
    """Connects within ten seconds, and again whenever the connection breaks. The
    client would print a stack for each try."""
    last, connected = [], False

    async def keep(err):
        last[:] = [str(err) or type(err).__name__]
        if connected:
            print("NATS:", *last, file=sys.stderr)

    try:
        server = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")  # may hold a password: it is not printed
        nc = await asyncio.wait_for(nats.connect(server, max_reconnect_attempts=-1, error_cb=keep), timeout=10)
    except (OSError, nats.errors.Error, asyncio.TimeoutError) as err:
        sys.exit(f"no connection to NATS ({last[0] if last else err}): start nats-server, or set NATS_URL")
    connected = True
    return nc


async def subscribe(js):
    """Creates the durable consumer, which keeps the position: use a different name
    in each program."""
    try:
        await js.add_consumer("CAPTURES", ConsumerConfig(
            durable_name="warehouse",
            filter_subjects=["captures.*.captured", "captures.*.failed", "captures.*.parked"],
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=30,
            max_deliver=-1,
        ))
        return await js.pull_subscribe_bind(consumer="warehouse", stream="CAPTURES")
    except nats.js.errors.NotFoundError:
        sys.exit("there is no stream CAPTURES yet: start `capture-worker run`, which creates it")
    except nats.errors.Error as err:
        sys.exit(f"the consumer cannot be created: {err}")


async def main(path):
    try:
        db = sqlite3.connect(path)
        db.execute(TABLE)
    except sqlite3.Error as err:
        sys.exit(f"{path}: {err}")
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    nc = await connect()
    events = await subscribe(nc.jetstream())
    while not stop.is_set():
        try:
            messages = await events.fetch(64, timeout=5)
        except nats.errors.TimeoutError:
            continue  # no message
        except nats.errors.Error as err:
            sys.exit(f"the consumer has ended ({err}): start again, which creates it")
        for m in messages:
            book(db, m.metadata.sequence.stream, json.loads(m.data))
            await m.ack()  # if it is lost, the event is redelivered and recognized by its id
    await nc.close()
    db.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1]))
