"""A real RocksDB for the tests of live images (PyPI: rocksdict). Only run where it is installed.

  write DIR   writes like a placement centre under load, with buffers so small that RocksDB flushes and compacts all the time, until it is killed;
              every second it prints its time (Unix), how many writes there were, and how long they took: "bucket:number", where a bucket is 16 * log2 of microseconds
  check       reads names of folders from stdin; for each opens the database and prints "ok ..." or what is wrong
  serve DIR   keeps a database open with the options of RobustMQ 0.4.11, and does what it reads from stdin, a line each, answering "ok ...":
              fill MIB (metadata, 1 KiB a key), change PERCENT (of its keys, spread over all), messages MIB KIB (of messages, with KIB of metadata between them), flush
  count       reads names of folders from stdin; for each opens the database and prints "ok", and how many keys the metadata families have
"""
import math
import os
import random
import sys
import time

from rocksdict import AccessType, DBCompressionType, Options, Rdict, WriteBatch

FAMILIES = ["meta_raft", "meta_data", "meta_metadata", "broker", "storage"]
DATA_0 = bytes.fromhex("f1d75aee29c89b3a")


def options():
    o = Options(raw_mode=True)
    o.create_if_missing(True)
    o.create_missing_column_families(True)
    o.set_write_buffer_size(64 << 10)
    o.set_target_file_size_base(128 << 10)
    o.set_max_open_files(256)  # it grows for as long as the test runs, and a process may have 1024 files open
    o.set_enable_pipelined_write(True)
    return o


def log_key(i):
    return b"L" + DATA_0 + i.to_bytes(8, "big")


APPLIED = b"S" + DATA_0 + b"\x04"


def write(path):
    db = Rdict(path, options(), {f: options() for f in FAMILIES})
    cf = {f: db.get_column_family(f) for f in FAMILIES}
    handle = {f: db.get_column_family_handle(f) for f in FAMILIES}
    pad, took, due, i = b"x" * 200, [], time.time() + 1, 0
    while True:
        i += 1
        n = i.to_bytes(8, "big")
        began = time.perf_counter()
        batch = WriteBatch(raw_mode=True)
        batch.put(log_key(i), pad, handle["meta_raft"])
        if i % 3 == 0:
            batch.put(b"/engine/r" + n, pad * 3, handle["storage"])
        db.write(batch)
        cf["meta_data"][b"/meta/z_counter"] = n
        cf["meta_metadata"][b"/meta/z_counter"] = n
        cf["meta_raft"][APPLIED] = n
        took.append(time.perf_counter() - began)
        cf["meta_data"][b"/meta/topic/%d" % (i * 7919 % 5000)] = n + pad
        if i % 7 == 0:
            cf["meta_data"].delete(b"/meta/topic/%d" % (i * 104729 % 5000))
        if i % 997 == 0:
            cf["meta_metadata"][b"/meta/large/%d" % (i % 5)] = n * 10000
        if i % 200 == 0 and i > 1000:
            cf["meta_raft"].delete_range(log_key(0), log_key(i - 1000))
        if time.time() > due:
            buckets = {}
            for seconds in took:
                bucket = int(math.log2(seconds * 1e6 + 1) * 16)
                buckets[bucket] = buckets.get(bucket, 0) + 1
            print("%.3f" % time.time(), len(took), *("%d:%d" % b for b in buckets.items()), flush=True)
            took, due = [], time.time() + 1


def check(path):
    db = Rdict(path, options(), {f: options() for f in FAMILIES}, access_type=AccessType.read_only())
    number = lambda family, key: int.from_bytes(db.get_column_family(family).get(key) or b"", "big")
    data, meta, applied = number("meta_data", b"/meta/z_counter"), number("meta_metadata", b"/meta/z_counter"), number("meta_raft", APPLIED)
    log = [int.from_bytes(k[9:], "big") for k in db.get_column_family("meta_raft").keys() if k[:1] == b"L"]
    for f in FAMILIES[:3]:
        for k, v in db.get_column_family(f).items():
            if k.startswith(b"/meta/topic/") and int.from_bytes(v[:8], "big") > data + 1:
                return "a topic of %d after %d" % (int.from_bytes(v[:8], "big"), data)
    left = sum(1 for f in FAMILIES[3:] for _ in db.get_column_family(f).keys())
    last = log[-1] if log else 0
    if not (last >= data >= meta >= applied and last - applied <= 1):
        return "log to %d, data %d, metadata %d, applied %d" % (last, data, meta, applied)
    if log and len(log) != last - log[0] + 1:
        return "log of %d entries from %d to %d" % (len(log), log[0], last)
    if left:
        return "%d keys of messages" % left
    return "ok %d %d" % (last, len(log))


def robustmq():
    """Options of RobustMQ 0.4.11's families (rocksdb/testdata/options-0.4.11)."""
    o = Options(raw_mode=True)
    o.create_if_missing(True)
    o.create_missing_column_families(True)
    o.set_write_buffer_size(128 << 20)
    o.set_max_write_buffer_number(4)
    o.set_target_file_size_base(128 << 20)
    o.set_max_bytes_for_level_base(256 << 20)
    o.set_level_zero_file_num_compaction_trigger(8)
    none, lz4 = DBCompressionType.none(), DBCompressionType.lz4()
    o.set_compression_per_level([none, none, lz4, lz4, DBCompressionType.zstd()])
    o.set_enable_pipelined_write(True)
    return o


class Serving:
    """A server without a network: its keys are /meta/topic/<number>, its values cannot be compressed."""

    def __init__(self, path):
        self.db = Rdict(path, robustmq(), {f: robustmq() for f in FAMILIES})
        self.handle = {f: self.db.get_column_family_handle(f) for f in FAMILIES}
        self.random = random.Random(7)
        self.keys = 0

    def put(self, numbers):
        batch = WriteBatch(raw_mode=True)
        for i in numbers:
            family = FAMILIES[1 + i % 2]
            batch.put(b"/meta/topic/%09d" % i, self.random.randbytes(1024), self.handle[family])
        self.db.write(batch)

    def fill(self, mib):
        for _ in range(mib):
            self.put(range(self.keys, self.keys + 1024))
            self.keys += 1024

    def change(self, percent):
        step = 100 // percent
        changed = list(range(self.random.randrange(step), self.keys, step))
        for i in range(0, len(changed), 64):
            self.put(changed[i:i + 64])

    def messages(self, mib, kib):
        for i in range(mib * 16):
            batch = WriteBatch(raw_mode=True)
            batch.put(b"/engine/%09d" % i, self.random.randbytes(64 << 10), self.handle["storage"])
            self.db.write(batch)
            while self.keys * mib * 16 < i * kib:
                self.put([self.keys])
                self.keys += 1

    def flush(self):
        for f in FAMILIES:
            self.db.get_column_family(f).flush()


def serve(path):
    serving = Serving(path)
    print("ok", flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        getattr(serving, command)(*map(int, numbers))
        print("ok", serving.keys, flush=True)


def keys_of(path):
    db = Rdict(path, robustmq(), {f: robustmq() for f in FAMILIES}, access_type=AccessType.read_only())
    return "ok %d" % sum(1 for f in FAMILIES[:3] for _ in db.get_column_family(f).keys())


if sys.argv[1] in ("write", "serve"):
    {"write": write, "serve": serve}[sys.argv[1]](sys.argv[2])
    sys.exit()
for line in sys.stdin:
    try:
        print({"check": check, "count": keys_of}[sys.argv[1]](line.strip()), flush=True)
    except Exception as e:  # whatever RocksDB says is the answer
        print("error", str(e).replace("\n", " "), flush=True)
