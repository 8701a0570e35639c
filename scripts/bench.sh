#!/usr/bin/env bash
# Measures the whole program against its floor, the same decoder and encoder with nothing between,
# and writes the table into docs/performance.md. Run it by `make bench`; REPEAT=7 changes how often
# each command runs (5 by default), BESIDE=path/to/classveil measures an older program in the same
# turns. Everything it makes lies in target/bench/.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    printf 'bench: %s\n' "$*" >&2
    exit 1
}

classveil=${CLASSVEIL:-target/release/classveil}
sample=tests/samples/obama_speech.mp4
photo=tests/samples/obama.jpg
out=target/bench

[ -x "$classveil" ] || fail "$classveil is not built; run 'make bench'"
[ -f "$sample" ] && [ -f "$photo" ] || fail "the sample media are missing; run 'make setup'"
for tool in ffmpeg gst-launch-1.0 python3; do
    command -v "$tool" >/dev/null ||
        fail "$tool is missing: apt-get install ffmpeg gstreamer1.0-tools python3"
done
mkdir -p "$out"

# 1080p at 30 frames a second, as a camera would send it: the sample's pictures one after the other
# (2.5 times as fast as they were filmed), over and over, scaled up, the upper part of each.
make_clip() {
    [ -f "$out/$1.mp4" ] && return
    echo "bench: making $out/$1.mp4, $2 pictures"
    ffmpeg -v error -y -stream_loop -1 -r 30 -i "$sample" -map 0:v -frames:v "$2" \
        -vf "scale=1920:1440:flags=bicubic,crop=1920:1080:0:0" -pix_fmt yuv420p \
        -c:v libx264 -preset veryfast -b:v 6M -maxrate 6M -bufsize 12M -g 60 "$out/$1.part.mp4"
    mv "$out/$1.part.mp4" "$out/$1.mp4"
}
make_clip minute 1800
make_clip long 360
make_clip short 12

CLASSVEIL=$classveil exec python3 scripts/bench.py
