#!/usr/bin/python3
"""How much of a recording's CPU goes into sealing: encrypting, digests, journal, syncs.

All of that is done by one thread named `writer`. Runs `classveil record` on a clip and adds up what the
kernel counts for each thread.

    scripts/seal_share.py target/release/classveil tests/samples/obama_speech.mp4
"""

import pathlib
import subprocess
import sys
import tempfile
import time

# A thread that ends takes its figures with it; the writer waits for the end of the recording.
LOOK_S = 0.02


def threads(pid):
    """Name and nanoseconds on a CPU of each thread that lives."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            yield task.name, name, int((task / "schedstat").read_text().split()[0])
        except (OSError, IndexError):
            continue  # It ended meanwhile.


def main():
    program, clip = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as folder:
        def run(*args):
            return subprocess.run([program, *args], cwd=folder, check=True, capture_output=True, text=True)

        recipient = run("keygen", "--output", "teacher.key").stdout.strip()
        (pathlib.Path(folder) / "pupils.csv").write_text(
            "pupil_id,class,status,since,photos\np-01,5b,consented,2026-09-01,\n")
        args = ["record", "--input", clip, "--policy", "everyone", "--recipient", recipient,
                "--pupils", "pupils.csv", "--store", "store", "--box-key", "keys/box.key", "--json"]
        child = subprocess.Popen([program, *args], cwd=folder, stdout=subprocess.DEVNULL)
        seen = {}
        while child.poll() is None:
            try:
                for task, name, spent in threads(child.pid):
                    seen[task] = (name, spent)
            except OSError:
                break
            time.sleep(LOOK_S)
        if child.wait() != 0:
            sys.exit("the recording failed")
    total = sum(spent for _, spent in seen.values())
    sealing = sum(spent for name, spent in seen.values() if name == "writer")
    if sealing == 0:
        sys.exit("no thread named `writer` was seen")
    print(f"sealing {sealing / 1e6:.0f} ms of {total / 1e6:.0f} ms CPU: {100 * sealing / total:.2f} %")


main()
