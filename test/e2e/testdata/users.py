"""Opens databases with a real RocksDB (PyPI: rocksdict) and tells which MQTT users are in them. Only run where it is installed.

Reads names of folders from stdin; for each prints "ok" and the names of the users of the default tenant, or "error" and what RocksDB says.
"""
import sys

from rocksdict import AccessType, Options, Rdict

FAMILIES = ["meta_raft", "meta_data", "meta_metadata", "broker", "storage"]
PREFIX = b"/meta/mqtt/user/default/"


def users(path):
    options = lambda: Options(raw_mode=True)
    db = Rdict(path, options(), {f: options() for f in FAMILIES}, access_type=AccessType.read_only())
    keys = [k for f in FAMILIES for k in db.get_column_family(f).keys()]  # every block of every family is read
    return [k[len(PREFIX):].decode() for k in keys if k.startswith(PREFIX)]


for line in sys.stdin:
    try:
        print("ok", *users(line.strip()), flush=True)
    except Exception as e:  # whatever RocksDB says is the answer
        print("error", str(e).replace("\n", " "), flush=True)
