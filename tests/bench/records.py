"""Writes pages of records for the benchmark: python3 records.py COUNT FOLDER [--changed PERCENT].

Each page is FOLDER/N.json: {"data": [1,000 records], "next": URL or null}. With --changed only that part of the records is
written, with later times and other values: what an incremental request would be answered with.
"""
import argparse
import json
import os
import random
from datetime import datetime, timedelta, timezone

PER_PAGE = 1000
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def record(rng, key, changed):
    at = START + timedelta(seconds=key, days=200 if changed else 0)
    return {
        "id": key,
        "updated_at": at.isoformat().replace("+00:00", "Z"),
        "customer": {"name": "Customer %d é" % rng.randrange(10**6), "email": "user%d@example.com" % key},
        "total": "%.2f" % (rng.random() * 1000),
        "status": rng.choice(["paid", "open", "void"]),
        "items": [{"sku": "SKU-%05d" % rng.randrange(99999), "qty": rng.randrange(9)} for _ in range(2)],
        "note": None,
    }


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("count", type=int)
    arguments.add_argument("folder")
    arguments.add_argument("--changed", type=float)
    arguments = arguments.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    rng = random.Random(7)
    keys = list(range(arguments.count))
    if arguments.changed is not None:
        keys = sorted(rng.sample(keys, int(arguments.count * arguments.changed / 100)))
    pages = [keys[at : at + PER_PAGE] for at in range(0, len(keys), PER_PAGE)] or [[]]
    name = os.path.basename(arguments.folder)
    for number, page in enumerate(pages, 1):
        rows = [record(rng, key, arguments.changed is not None) for key in page]
        following = "http://127.0.0.1:8099/%s/%d.json" % (name, number + 1) if number < len(pages) else None
        with open(os.path.join(arguments.folder, "%d.json" % number), "w") as out:
            json.dump({"data": rows, "next": following}, out, ensure_ascii=False)


main()
