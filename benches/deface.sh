#!/usr/bin/env bash
# The same clip through classveil and through deface 1.5.0 (a well-known blurring tool), in one run:
# pictures a second of both, and the ratio. deface runs as fast as it can: ONNX Runtime on all cores,
# `--scale 640x360`. classveil compares every face with a list, veils, encodes, seals.
#
#   benches/deface.sh            # a 1080p clip made from the samples
#   benches/deface.sh CLIP.mp4   # another one
#
# REPEAT=3 changes how often each runs, in turn (3 by default). deface goes into a Python environment
# in target/deface/, versions pinned below; nothing else of the system is touched.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    printf 'deface: %s\n' "$*" >&2
    exit 1
}

classveil=${CLASSVEIL:-target/release/classveil}
out=target/deface
repeat=${REPEAT:-3}
[ -x "$classveil" ] || fail "$classveil is not built; run 'make build'"
for tool in ffmpeg ffprobe python3; do
    command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install ffmpeg python3"
done
mkdir -p "$out"

if [ ! -x "$out/venv/bin/deface" ]; then
    echo "deface: making a Python environment in $out/venv"
    python3 -m venv "$out/venv" || fail "apt-get install python3-venv"
    "$out/venv/bin/pip" install -q --no-deps -r benches/deface-requirements.txt
fi

clip=${1:-$out/clip.mp4}
if [ $# -eq 0 ] && [ ! -f "$clip" ]; then
    echo "deface: making $clip"
    ffmpeg -v error -y -stream_loop -1 -r 30 -i tests/samples/obama_speech.mp4 -map 0:v \
        -frames:v 240 -vf "scale=1920:1440:flags=bicubic,crop=1920:1080:0:0" -pix_fmt yuv420p \
        -c:v libx264 -preset veryfast -b:v 6M -maxrate 6M -bufsize 12M -g 60 "$out/part.mp4"
    mv "$out/part.mp4" "$clip"
fi
frames=$(ffprobe -v error -count_packets -select_streams v:0 -show_entries stream=nb_read_packets \
    -of default=nk=1:nw=1 "$clip")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp tests/samples/obama.jpg "$work/p-01.jpg"
printf 'pupil_id,class,status,since,photos\np-01,bench,refused,2026-01-05,p-01.jpg\n' >"$work/list.csv"
printf '[encode]\nencoder = "x264"\npreset = "ultrafast"\nbitrate = "6 Mbit/s"\n' >"$work/config.toml"
recipient=$("$classveil" keygen --output "$work/key")

now() { date +%s.%N; }

run_classveil() {
    rm -rf "$work/store"
    "$classveil" record --input "$clip" --pupils "$work/list.csv" --policy refused \
        --recipient "$recipient" --store "$work/store" --box-key "$work/box.key" --dpia bench \
        --config "$work/config.toml" --json >"$work/said.json"
}

run_deface() {
    "$out/venv/bin/deface" "$clip" --scale 640x360 --backend onnxrt --execution-provider \
        CPUExecutionProvider --output "$work/deface.mp4" >"$work/deface.log" 2>&1 ||
        fail "deface failed: $(tail -n 3 "$work/deface.log")"
}

for program in classveil deface; do : >"$work/$program.seconds"; done
for turn in $(seq "$repeat"); do
    for program in classveil deface; do
        began=$(now)
        "run_$program"
        ended=$(now)
        awk -v a="$began" -v b="$ended" 'BEGIN { printf "%.3f\n", b - a }' >>"$work/$program.seconds"
        awk -v a="$began" -v b="$ended" -v n="$frames" -v p="$program" -v t="$turn" \
            'BEGIN { printf "deface: turn %d  %-9s %6.1f pictures a second\n", t, p, n / (b - a) }'
    done
done

# Median of each, start-up included.
median() { sort -n "$work/$1.seconds" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
awk -v a="$(median classveil)" -v b="$(median deface)" -v n="$frames" -v cores="$(nproc)" 'BEGIN {
    printf "%d pictures, %d cores, start-up included\n", n, cores
    printf "classveil record         %6.1f pictures a second\n", n / a
    printf "deface --scale 640x360   %6.1f pictures a second\n", n / b
    printf "ratio                    %6.1f\n", b / a
}'
