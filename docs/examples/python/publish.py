"""Requests one capture: publish.py TRADE_ID AMOUNT CURRENCY ORDER_ID AUTHORIZED_AT

If it succeeds, the job is stored. After any error, run it again: a repeated job
captures once.
"""
import asyncio
import hashlib
import json
import os
import sys

import nats


async def main(trade_id, amount, currency, order_id, authorized_at):
    # Amounts are strings: a binary fraction loses cents.
    body = json.dumps({
        "trade_id": trade_id, "amount": amount, "currency": currency,
        "order_id": order_id, "authorized_at": authorized_at,
    }).encode()
    # Equal jobs within the stream's duplicate window are stored once.
    headers = {"Nats-Msg-Id": hashlib.sha256(body).hexdigest()}
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    try:
        stored = await nc.jetstream().publish("capture.jobs.shipped", body, headers=headers, timeout=10)
        print(f"stored in {stored.stream} as {stored.seq}, again: {bool(stored.duplicate)}")
    finally:
        await nc.close()


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
