#!/usr/bin/python3
"""Runs `classveil record` and its floor in turn and writes what they cost into
docs/performance.md. scripts/bench.sh makes the clips and calls this.

CPU time and peak memory are those the kernel counts for each process and its children (wait4).
Each command runs on clips of a minute, of 12 seconds and of 12 pictures, so that the cost of starting
(loading models, reading the photo) can be told from the cost of a picture. The programs take turns,
because a machine is never quite idle: ratios are taken within a turn, and the median is reported.
BESIDE names an older program that takes its turns too; what it costs is said, not written.

Standard library only; Debian 12's own python3.
"""

import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "target/bench"
PAGE = ROOT / "docs/performance.md"
BEGIN = "<!-- Written by scripts/bench.sh, from here -->"
END = "<!-- to here -->"

FRAMES = {"minute": 1800, "long": 360, "short": 12}
THREADS = min(os.cpu_count() or 1, 4)
CONFIG = f"""\
[encode]
encoder = "x264"
preset = "ultrafast"
bitrate = "6 Mbit/s"
threads = {THREADS}
"""
LIST = """\
pupil_id,class,status,since,photos
p-01,bench,refused,2026-01-05,p-01.jpg
"""
# What src/encode/choice.rs sets, and a key picture every six seconds as segments have them.
FLOOR = (
    "gst-launch-1.0 -q filesrc location={clip} ! qtdemux ! h264parse ! avdec_h264"
    " ! x264enc speed-preset=ultrafast pass=cbr bitrate=6000 vbv-buf-capacity=1000 bframes=0"
    " b-adapt=false key-int-max=180 option-string=scenecut=0:open-gop=0 rc-lookahead=0"
    " sync-lookahead=0 mb-tree=false sliced-threads=false threads={threads} aud=false"
    " byte-stream=true insert-vui=true"
    " ! video/x-h264,stream-format=byte-stream,alignment=au,profile=main ! fakesink sync=false"
)
RECORD = (
    "{classveil} record --input {clip} --pupils {work}/pupils.csv --policy refused"
    " --recipient {recipient} --store {work}/store --box-key {work}/box.key --dpia bench"
    " --config {work}/bench.toml --json"
)


class Run:
    """One finished process: seconds by the clock, seconds of CPU, KiB at its largest."""

    def __init__(self, command):
        began = time.monotonic()
        process = subprocess.Popen(command.split(), stdout=subprocess.PIPE, cwd=ROOT)
        self.text = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        self.wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"bench: exit code {process.returncode} of: {command}")
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak_kib = usage.ru_maxrss


def prepare(classveil):
    """A key, a list with the man of the photo as refused, a configuration."""
    work = OUT / "run"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    shutil.copy(ROOT / "tests/samples/obama.jpg", work / "p-01.jpg")
    (work / "pupils.csv").write_text(LIST)
    (work / "bench.toml").write_text(CONFIG)
    keygen = [classveil, "keygen", "--output", work / "teacher.key"]
    told = subprocess.run(keygen, check=True, capture_output=True, text=True)
    return work, next(w for w in (told.stdout + told.stderr).split() if w.startswith("age1"))


def measure(commands, work, repeat):
    """All runs, by command and clip."""
    runs = {(name, clip): [] for name in commands for clip in FRAMES}
    for turn in range(repeat):
        for (name, clip), done in runs.items():
            run = Run(commands[name].replace("{clip}", f"target/bench/{clip}.mp4"))
            shutil.rmtree(work / "store", ignore_errors=True)
            if name != "floor":
                check(json.loads(run.text.splitlines()[-1]), FRAMES[clip])
            done.append(run)
            print(f"bench: {turn + 1}/{repeat} {name:6} {clip:5}"
                  f" {1000 * run.wall / FRAMES[clip]:6.1f} ms wall"
                  f" {1000 * run.cpu / FRAMES[clip]:6.1f} ms CPU a picture,"
                  f" {run.peak_kib / 1024:4.0f} MiB")
    return runs


def check(summary, frames):
    """A figure counts only if the work was done."""
    whole = summary["frames_veiled_whole"]
    if summary["frames_out"] != frames or summary["tracks_veiled"] < 1 or whole > 0:
        sys.exit(f"bench: the recording is not what it should be: {summary}")


def table(runs, repeat, load, recipient, commands):
    def of(name, figure):
        return [figure(*turn) for turn in zip(*(runs[name, clip] for clip in FRAMES))]

    def ms_per_frame(seconds, clip):
        return 1000 * seconds / FRAMES[clip]

    between = FRAMES["minute"] - FRAMES["short"]

    def steady(seconds):
        """Without what it costs to start."""
        return lambda minute, _, short: 1000 * (seconds(minute) - seconds(short)) / between

    def start(seconds):
        return lambda *turn: seconds(turn[2]) - FRAMES["short"] * steady(seconds)(*turn) / 1000

    def wall(run):
        return run.wall

    def cpu(run):
        return run.cpu

    rows = [
        ("CPU, ms a picture of a minute", lambda minute, *_: ms_per_frame(minute.cpu, "minute"), "{:.1f}"),
        ("CPU, ms a picture of 12 s", lambda _, long, __: ms_per_frame(long.cpu, "long"), "{:.1f}"),
        ("CPU, ms a picture, without start-up", steady(cpu), "{:.1f}"),
        ("wall, ms a picture of a minute", lambda minute, *_: ms_per_frame(minute.wall, "minute"), "{:.1f}"),
        ("wall, ms a picture of 12 s", lambda _, long, __: ms_per_frame(long.wall, "long"), "{:.1f}"),
        ("pictures a second, without start-up", lambda *turn: 1000 / steady(wall)(*turn), "{:.1f}"),
        ("start-up, CPU s", start(cpu), "{:.2f}"),
        ("peak memory, MiB", lambda minute, *_: minute.peak_kib / 1024, "{:.0f}"),
    ]

    def cell(values, form):
        low, high = form.format(min(values)), form.format(max(values))
        return f"{form.format(statistics.median(values))} ({low} to {high})"

    def against(name, figure):
        pairs = list(zip(of(name, figure), of("floor", figure)))
        return [a - b for a, b in pairs], [a / b for a, b in pairs]

    lengths = [
        lambda minute, *_: ms_per_frame(minute.cpu, "minute"),
        lambda _, long, __: ms_per_frame(long.cpu, "long"),
        steady(cpu),
    ]

    def ratios(name):
        pairs = [against(name, figure) for figure in lengths]
        added = " | ".join(cell(added, "{:.1f}") for added, _ in pairs)
        ratio = " | ".join(cell(ratio, "{:.2f}") for _, ratio in pairs)
        return f"| added CPU, ms a picture | {added} |", f"| CPU(a) / CPU(b) | {ratio} |"

    if "beside" in commands:
        costs = " | ".join(cell(of("beside", figure), "{:.1f}") for figure in lengths)
        print("bench: BESIDE, a minute | 12 s | without start-up", costs, *ratios("beside"), sep="\n")
        print("bench: start-up, CPU s", cell(of("beside", start(cpu)), "{:.2f}"))
    lines = [
        f"{datetime.date.today()}, {os.cpu_count()} cores of {cpu_model()},"
        f" {platform.system()} {platform.machine()}, load of other work at the start {load:.1f}."
        f" Median of {repeat} runs in turn, lowest and highest in brackets.",
        "",
        "| | (a) `classveil record` | (b) floor |",
        "|---|---|---|",
    ]
    for title, figure, form in rows:
        cells = [cell(of(name, figure), form) for name in ("record", "floor")]
        lines.append(f"| {title} | {cells[0]} | {cells[1]} |")
    lines += [
        "",
        "| (a) against (b), turn by turn | a minute | 12 s | without start-up |",
        "|---|---|---|---|",
        *ratios("record"),
        "",
        "Commands, for the clip of 12 s:",
        "",
        "```sh",
    ]
    for name in ("record", "floor"):
        text = commands[name].replace("{clip}", "target/bench/long.mp4")
        text = text.replace(f"{ROOT}/", "").replace(recipient, "age1...")
        lines.append(text.replace(" ! ", " \\\n    ! ").replace(" --", " \\\n    --"))
    lines += ["```"]
    return "\n".join(lines)


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unnamed make"


def publish(text):
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or not after:
        sys.exit(f"bench: {PAGE} has lost its marks; restore it from git")
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main():
    classveil = os.environ.get("CLASSVEIL", "target/release/classveil")
    repeat = int(os.environ.get("REPEAT", "5"))
    load = os.getloadavg()[0]
    work, recipient = prepare(classveil)
    short = work.relative_to(ROOT)
    record = RECORD.replace("{classveil}", classveil).replace("{recipient}", recipient)
    record = record.replace("{work}", str(short))
    commands = {
        "record": record,
        "floor": FLOOR.replace("{threads}", str(THREADS)),
    }
    if beside := os.environ.get("BESIDE"):
        commands["beside"] = record.replace(classveil, beside, 1)
    runs = measure(commands, work, repeat)
    shutil.rmtree(work)
    commands["record"] = commands["record"].replace(classveil, "classveil")
    text = table(runs, repeat, load, recipient, commands)
    publish(text)
    print(text)


main()
