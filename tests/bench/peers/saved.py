"""The file of rows that bench-peers keeps: each says on which host it was measured."""
import json
import os


def read_rows(path):
    """Rows of a file, none when there is no file. A host at its head is that of rows without one."""
    if not os.path.exists(path):
        return []
    with open(path) as f:
        saved = json.load(f)
    return [{"host": saved.get("host"), **row} for row in saved["rows"]]


def save(path, results):
    """Rows of results replace those of their name where they stand; others stay as they are."""
    rows = {(r["group"], r["name"]): r for r in read_rows(path) + results}
    with open(path + ".part", "w") as f:
        json.dump({"rows": list(rows.values())}, f, indent=1)
        f.write("\n")
    os.rename(path + ".part", path)
