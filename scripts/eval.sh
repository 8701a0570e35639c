#!/usr/bin/env bash
# Makes the scenes, records them under every policy, and writes the figures into docs/leaks.md. Run
# it by `make eval`; SEED=2 makes other scenes (1 by default). Everything it makes lies in
# target/eval/. Ends with 70 where somebody showed who must not.
set -euo pipefail
cd "$(dirname "$0")/.."

classveil=${CLASSVEIL:-target/release/classveil}
seed=${SEED:-1}
out=target/eval
page=docs/leaks.md
begin='<!-- Written by scripts/eval.sh, from here -->'
end='<!-- to here -->'

fail() {
    printf 'eval: %s\n' "$*" >&2
    exit 1
}
[ -x "$classveil" ] || fail "$classveil is not built; run 'make eval'"
grep -qF "$begin" "$page" && grep -qF "$end" "$page" || fail "$page has lost its marks; restore it from git"

mkdir -p "$out"
rm -rf "$out/scenes" "$out/results"
echo "eval: making the scenes"
"$classveil" eval scene --out "$out/scenes" --seed "$seed"
echo "eval: recording and judging them"
code=0
"$classveil" eval run "$out/scenes" --out "$out/results" \
    --policy refused --policy unless-cleared --policy everyone >"$out/table.txt" || code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 70 ] || exit "$code"
cat "$out/table.txt"

cpu=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
{
    sed "/^$begin\$/q" "$page"
    printf '\n%s, seed %s, %s cores of %s.\n\n```\n' "$(date +%F)" "$seed" "$(nproc)" "${cpu:-unnamed make}"
    cat "$out/table.txt"
    printf '```\n\n'
    sed -n "/^$end\$/,\$p" "$page"
} >"$out/page.md"
cp "$out/page.md" "$page"
exit "$code"
