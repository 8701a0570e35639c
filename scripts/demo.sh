#!/usr/bin/env bash
# The main job on the sample clip, with the very commands an operator types. Two men are in the
# clip; the one of the sample photo is on the pupil list as refused. Everything it makes, keys
# included, lies in demo-out/, which is made anew each time. Run it by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."

classveil=${CLASSVEIL:-target/release/classveil}
clip=tests/samples/obama_speech.mp4
photo=tests/samples/obama.jpg
out=demo-out

step() {
    printf '\n== %s\n' "$1"
    current=$1
}
current="start"
trap 'printf "demo: stopped at \"%s\"; the reason stands above\n" "$current" >&2' ERR

[ -x "$classveil" ] || { echo "demo: $classveil is not built; run 'make demo'" >&2; exit 1; }
[ -f "$clip" ] && [ -f "$photo" ] || { echo "demo: the sample media are missing; run 'make setup'" >&2; exit 1; }
rm -rf "$out"
mkdir -m 700 "$out"

step "1/5 keys: the teacher's key pair; only its public half is given to the recorder"
"$classveil" keygen --output "$out/teacher.key" >"$out/recipient.txt"
recipient=$(grep -o -m 1 'age1[0-9a-z]*' "$out/recipient.txt")
rm "$out/recipient.txt"
echo "recipient $recipient"

step "2/5 pupil list: the man of the photo may not be seen"
cp "$photo" "$out/p-01.jpg"
cat >"$out/pupils.csv" <<'CSV'
pupil_id,class,status,since,photos
p-01,demo,refused,2026-01-05,p-01.jpg
CSV
cat "$out/pupils.csv"

step "3/5 record: veil, encode, seal"
"$classveil" record --input "$clip" --pupils "$out/pupils.csv" --policy refused \
    --recipient "$recipient" --store "$out/store" --box-key "$out/box.key" --class demo \
    --dpia "demo: sample clip of public figures"
recording=$(echo "$out"/store/recordings/*)
[ -d "$recording" ] || { echo "demo: no recording in $out/store" >&2; false; }

step "4/5 verify: signature, chain and digests, without any private key"
"$classveil" verify "$recording" --box-key "$out/store/box.pub"

step "5/5 open: with the teacher's private key"
"$classveil" open "$recording" --identity "$out/teacher.key" --box-key "$out/store/box.pub" \
    --output "$out/veiled.mp4"
cp "$recording/manifest.json" "$out/manifest.json"

# Four moments of the clip: as it was above, as it was recorded below.
moments="select='eq(n,5)+eq(n,35)+eq(n,65)+eq(n,95)',setpts=N/TB,scale=320:240,tile=4x1"
ffmpeg -v error -y -i "$clip" -i "$out/veiled.mp4" -filter_complex \
    "[0:v]$moments[before];[1:v]$moments[after];[before][after]vstack" \
    -frames:v 1 -update 1 "$out/before-after.png"

frames() {
    ffprobe -v error -select_streams v:0 -count_packets -show_entries stream=nb_read_packets -of csv=p=0 "$1"
}
sealed=("$recording"/*/*.mp4.age)
cat <<END

What happened
  $(frames "$clip") pictures of $clip went in, $(frames "$out/veiled.mp4") came out, each with its own time stamp.
  The man of p-01.jpg is refused: his head was veiled on the raw pictures, before the encoder.
  ${#sealed[@]} segments were sealed for the teacher's key; record wrote nothing unencrypted.
  Whoever takes this machine's store cannot open them: the recorder had public keys only.
How to look at it
  $out/before-after.png   four moments, above as filmed, below as recorded
  $out/veiled.mp4         the opened recording, for any player
  $out/manifest.json      signed: purpose, recipients, deletion date, segments
  $out/store/             what stays on the box; README.md opens it with stock age
END
