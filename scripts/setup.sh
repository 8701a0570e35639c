#!/usr/bin/env bash
# Makes a Debian 12 machine with Rust ready to build, run and test classveil: system packages by
# apt, then ONNX Runtime, models and sample media by scripts/fetch.py, then the pages of ui/. Does
# only what is not done yet; when all is done it takes a second or two and touches neither apt nor
# the network.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# What each package is for; set-up needs nothing beyond this list and what it depends on.
packages=(
    # To build: C++ compiler and linker, libclang (the opencv crate reads OpenCV's headers with
    # it), headers of OpenCV and GStreamer.
    g++ pkg-config clang libclang-dev
    libopencv-dev libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
    # To run: decoders, demuxers, RTSP and cameras, encoders.
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav
    # To test: a real RTSP server, the stock tools that open what classveil writes, the system call
    # trace of the no-plaintext test, clips made on the spot, a browser that plays segments, what judges
    # the service's unit.
    libgstrtspserver-1.0-dev ffmpeg age minisign strace chromium systemd
    # To fetch the pinned files.
    python3 python3-pip ca-certificates
)

# The cheap checks first, before anything is installed.
check_machine() {
    case "$(uname -s)-$(uname -m)" in
    Linux-x86_64 | Linux-aarch64) ;;
    *) fail "this is $(uname -s) on $(uname -m); classveil runs on Linux, x86_64 or aarch64" ;;
    esac
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
        fail "this system has no apt; use Debian 12 (or a container of it)"
}

check_cargo() {
    local wanted found hint
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    hint="install Rust $wanted or newer with rustup, then open a new shell and run it again"
    if ! command -v cargo >/dev/null; then
        if [ -x "${CARGO_HOME:-${HOME:-/root}/.cargo}/bin/cargo" ]; then
            hint="Rust is installed: put ${CARGO_HOME:-${HOME:-/root}/.cargo}/bin on PATH and run it again"
        fi
        fail "cargo is not on PATH; $hint"
    fi
    found=$(cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p') || true
    [ -n "$found" ] || fail "'cargo --version' does not answer; $hint"
    [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        fail "cargo $found is too old; $hint"
}

# The pages are built by Node, which nothing needs afterwards. One that is there already is as good.
want_node() {
    local found
    found=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p') || true
    if [ "${found:-0}" -lt 18 ] || ! command -v npm >/dev/null; then
        packages+=(nodejs npm)
    fi
}

install_packages() {
    local installed missing=() package as_root=()
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null) || true
    for package in "${packages[@]}"; do
        grep -qxF "installed $package" <<<"$installed" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    local command="apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        # Without a terminal nobody can type a password: ask sudo only whether it needs none.
        if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            as_root=(sudo)
        else
            fail "system packages are missing and this user may not install them; ask an administrator to run: $command"
        fi
    fi
    say "installing ${missing[*]}"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q
        -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
    # A stale or empty package list is the usual reason why an install fails.
    "${apt[@]}" update >/dev/null || say "the package lists could not be refreshed; trying with the old ones"
    # apt fetches everything before it unpacks anything; it may add packages, never remove one.
    "${apt[@]}" install --yes --no-install-recommends --no-remove "${missing[@]}" </dev/null ||
        fail "apt could not install the packages (its reason stands above); check the network and the disk, then run: $command"
}

# Everything that the pages are made of, as one digest.
ui_digest() {
    find ui -path ui/node_modules -prune -o -path ui/dist -prune -o -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
}

build_ui() {
    local wanted lock
    wanted=$(ui_digest)
    [ -f ui/dist/index.html ] && [ -f ui/dist/viewer.html ] && [ -d ui/node_modules ] &&
        [ "$(cat ui/node_modules/.classveil-built 2>/dev/null)" = "$wanted" ] && return 0
    lock=$(sha256sum ui/package-lock.json)
    if [ ! -d ui/node_modules ] || [ "$(cat ui/node_modules/.classveil-lock 2>/dev/null)" != "$lock" ]; then
        say "fetching what builds the pages"
        # Exactly what the lock file names, and nothing of it runs while it is installed.
        npm --prefix ui ci --ignore-scripts --no-audit --no-fund --loglevel=error ||
            fail "npm could not install what ui/package-lock.json names (its reason stands above); check the network"
        printf '%s' "$lock" >ui/node_modules/.classveil-lock
    fi
    say "building the pages"
    npm --prefix ui run --silent build >/dev/null || fail "the pages of ui/ do not build (the reason stands above)"
    printf '%s' "$wanted" >ui/node_modules/.classveil-built
}

check_machine
check_cargo
want_node
install_packages
# Debian's own Python: another one on PATH may have no pip or be too old.
/usr/bin/python3 -I scripts/fetch.py
build_ui
say "ready"
