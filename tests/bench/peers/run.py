"""make bench-peers: weft's rows and the same work in PyTorch, in turns.

    python tests/bench/peers/run.py [rows=PATTERN] [samples=N] [full=1] [hold=1] [bf16=0] [out=FILE]

For each row every party is warmed up, then one sample of each is taken after the other, round by
round, so that a drift of the host meets all of them. hold=1 warms up every row first and then waits
for a line on stdin before it times them. bf16=0 leaves out PyTorch's bf16 where weft has none: a
processor without it takes minutes a row. Rows in out are replaced where they stand, others stay.
"""
import ctypes
import datetime
import gc
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time

import torch

sys.dont_write_bytecode = True
import models
import ops
import train
from saved import save

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
SAMPLE_S = 0.03


def status(field):
    """A field of /proc/self/status, in bytes."""
    with open("/proc/self/status") as f:
        return int(re.search(rf"^{field}:\s*(\d+)", f.read(), re.M)[1]) * 1024


class Weft:
    """weft's benchmark as a child that does one thing at a time."""

    def __init__(self, options):
        self.asks_bf16 = options.get("bf16") != "0"
        args = [f"{k}={options[k]}" for k in ("rows", "full", "threads") if options.get(k)]
        self.child = subprocess.Popen(["luajit", "tests/bench/run.lua", "serve=1", *args], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def lines(self, request):
        self.child.stdin.write(request + "\n")
        self.child.stdin.flush()
        while (line := self.child.stdout.readline().strip()) != "{}":
            if not line:
                sys.exit(f"weft ended at: {request}")
            yield json.loads(line)
            if not request.startswith("list"):
                return


class WeftParty:
    def __init__(self, weft, row):
        self.weft, self.key, self.name = weft, row["key"], f"weft {row['dtype']}".strip()

    def ask(self, verb):
        return next(self.weft.lines(f"{verb} {self.key}"), {})

    def prepare(self):
        self.ask("prepare")

    def sample(self):
        self.ask("sample")

    def result(self):
        return self.ask("result")

    def free(self):
        self.ask("free")


class TorchParty:
    def __init__(self, row, dtype, compiled=False):
        self.row, self.dtype, self.compiled = row, dtype, compiled
        self.name = f"torch {dtype}" + (" compiled" if compiled else "")

    def make(self):
        spec, dtype = self.row["spec"], DTYPES[self.dtype]
        if self.row["group"] == "train":
            return train.trainer(spec, dtype, self.compiled)
        return {**ops.MAKERS, **models.MAKERS}[spec["op"]](spec, dtype)

    def prepare(self):
        self.before = status("VmRSS")
        self.step, self.seconds = self.make(), []
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")
        for _ in range(1 if self.row.get("slow") else 2):
            start = time.perf_counter()
            self.step()
            once = time.perf_counter() - start
        self.n = max(1, round(SAMPLE_S / once))
        self.own_bytes = status("VmHWM") - self.before

    def sample(self):
        start = time.perf_counter()
        for _ in range(self.n):
            self.step()
        self.seconds.append((time.perf_counter() - start) / self.n)

    def result(self):
        return {"median_s": statistics.median(self.seconds), "best_s": min(self.seconds),
                "samples": len(self.seconds), "own_bytes": self.own_bytes,
                "parameters": getattr(self.step, "parameters", None)}

    def free(self):
        del self.step
        gc.collect()


def parties(weft, rows):
    """Of rows that differ in dtype alone: weft in each, and PyTorch in what it has for them."""
    row = rows[0]
    out = [WeftParty(weft, r) for r in rows]
    if not row.get("spec"):
        return out
    dtypes = [r["dtype"] for r in rows]
    if row["group"] != "train" and "bf16" not in dtypes and weft.asks_bf16:
        dtypes.append("bf16")
    for compiled in (False, True) if row["group"] == "train" else (False,):
        out += [TorchParty(row, d, compiled) for d in dtypes]
    return out


class Unit:
    """One row of the tables: the parties that do the same work."""

    def __init__(self, weft, rows):
        self.row, self.parties = rows[0], parties(weft, rows)

    def each(self, verb):
        for p in self.parties:
            with torch.no_grad():
                getattr(p, verb)()

    def time(self, samples):
        for _ in range(1 if self.row.get("slow") else samples):
            self.each("sample")

    def result(self, machine, command):
        r = self.row
        keep = {k: r[k] for k in ("group", "name", "flops", "bytes", "items", "unit") if k in r}
        return {**keep, "date": datetime.date.today().isoformat(), "command": command,
                "host": processor(), "machine": machine, "load": os.getloadavg()[0],
                "parties": {p.name: p.result() for p in self.parties}}


def processor():
    with open("/proc/cpuinfo") as f:
        text = f.read()
    fields = dict(re.findall(r"^(vendor_id|model name|model|cpu family)\s*: (.*)$", text, re.M))
    flags = set(re.search(r"^flags\s*: (.*)$", text, re.M)[1].split())
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {"name": fields["model name"], "model": fields["model"],
            "has": [f for f in wanted if f in flags], "processors": os.cpu_count(),
            "system": platform.release(), "torch": torch.__version__}


def read_options(words):
    options = {k: v for k, v in (w.split("=", 1) for w in words) if v}
    unknown = set(options) - {"rows", "samples", "threads", "full", "hold", "bf16", "out"}
    if unknown:
        sys.exit(f"unknown: {' '.join(unknown)}")
    return options


def run_each(units, samples, machine, finish):
    seen = machine()
    for unit in units:
        print(unit.row["group"], unit.row["name"], file=sys.stderr, flush=True)
        unit.each("prepare")
        unit.time(samples)
        finish(unit, seen)


def run_held(units, samples, machine, finish):
    for unit in units:
        print("warm", unit.row["group"], unit.row["name"], file=sys.stderr, flush=True)
        unit.each("prepare")
    print("ready", flush=True)
    sys.stdin.readline()
    seen = machine()
    for unit in units:
        unit.time(samples)
    print("timed", flush=True)
    for unit in units:
        finish(unit, seen)


def main():
    options = read_options(sys.argv[1:])
    torch.set_num_threads(int(options.get("threads") or os.cpu_count()))
    weft = Weft(options)
    groups = {}
    for row in weft.lines("list"):
        groups.setdefault((row["group"], row["name"]), []).append(row)
    units = [Unit(weft, rows) for rows in groups.values()]
    samples = int(options.get("samples") or 5)
    out = options.get("out") or "build/bench-peers.json"
    command = "make bench-peers"

    def machine():
        return next(weft.lines("machine"))

    def finish(unit, seen):
        save(out, [unit.result(seen, command)])
        unit.each("free")
    (run_held if options.get("hold") else run_each)(units, samples, machine, finish)
    subprocess.run(["luajit", "tests/bench/report.lua", out], check=True)


if __name__ == "__main__":
    main()
