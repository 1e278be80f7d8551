"""Requests one capture: publish.py TRADE_ID AMOUNT CURRENCY ORDER_ID AUTHORIZED_AT

If it succeeds, the job is stored. After any error, run it again: a repeated job
captures once.
"""
import asyncio
import hashlib
import json
import os
import sys

try:
    import nats
    import nats.errors
    import nats.js.errors
except ModuleNotFoundError:
    sys.exit("the package is not installed: pip install nats-py")


async def connect():
    """Connects within ten seconds. The client would try for two minutes, and
    print a stack for each try."""
    last = []

    async def keep(err):
        last[:] = [str(err) or type(err).__name__]

    try:
        server = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")  # may hold a password: it is not printed
        return await asyncio.wait_for(nats.connect(server, error_cb=keep), timeout=10)
    except (OSError, nats.errors.Error, asyncio.TimeoutError) as err:
        sys.exit(f"no connection to NATS ({last[0] if last else err}): start nats-server, or set NATS_URL")


async def main(trade_id, amount, currency, order_id, authorized_at):
    # Amounts are strings: a binary fraction loses cents.
    body = json.dumps({
        "trade_id": trade_id, "amount": amount, "currency": currency,
        "order_id": order_id, "authorized_at": authorized_at,
    }).encode()
    # Equal jobs within the stream's duplicate window are stored once.
    headers = {"Nats-Msg-Id": hashlib.sha256(body).hexdigest()}
    nc = await connect()
    try:
        stored = await nc.jetstream().publish("capture.jobs.shipped", body, headers=headers, timeout=10)
        print(f"stored in {stored.stream} as {stored.seq}, again: {bool(stored.duplicate)}")
    except nats.js.errors.NoStreamResponseError:
        sys.exit("the job is not stored, no stream takes capture.jobs.shipped: "
                 "start `capture-worker run`, which creates it, then publish it again")
    except nats.errors.Error as err:
        sys.exit(f"the job may not be stored, publish it again: {err}")
    finally:
        await nc.close()


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
