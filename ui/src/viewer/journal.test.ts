import { expect, it } from "vitest";

import { sha256, utf8 } from "./bytes";
import { checkJournal } from "./journal";
import type { Gap, Manifest, Segment } from "./manifest";
import { Refused } from "./refused";
import { pieces, withoutPictures } from "./timeline";

const digest = (n: number) => ({ bytes: n, sha256: String(n).repeat(64).slice(0, 64) });
const segment = (number: number): Segment => ({
  camera: "cam1",
  number,
  start_ns: (number - 1) * 6e9,
  end_ns: number * 6e9,
  frames: 72,
  video: digest(number),
  tracks: digest(number + 4),
});
const gap: Gap = { camera: "cam1", from_ns: 6e9, to_ns: 18e9, why: "dropped", removed: [2, 3] };

/** A journal as the box writes it, and the manifest that goes with it. */
async function recording(entries: object[], segments: Segment[], gaps: Gap[]) {
  const key = digest(9);
  let head = await sha256(utf8(`classveil-journal/1\nX\n${key.sha256}\n`));
  let text = "";
  for (const entry of entries) {
    const line = JSON.stringify({ previous: head, ...entry });
    text += `${line}\n`;
    head = await sha256(utf8(line));
  }
  const journal = { lines: entries.length, sha256: head };
  return { text, manifest: { recording: "X", key, journal, segments, gaps } as unknown as Manifest };
}

const lines = [1, 2, 3].map((number) => ({ segment: segment(number) }));
const all = [...lines, { gap }, { segment: segment(4) }];
const left = [segment(1), segment(4)];
const code = async (text: string, manifest: Manifest): Promise<string> =>
  checkJournal(utf8(text), manifest).then(
    () => "",
    (error: unknown) => (error instanceof Refused ? error.reason.code : String(error)),
  );

it("takes a stated gap with the segments that it removes, and nothing that is kept quiet", async () => {
  const { text, manifest } = await recording(all, left, [gap]);
  expect(await code(text, manifest)).toBe("");
  expect(await code(text, { ...manifest, gaps: [] })).toBe("journal");
  expect(await code(text, { ...manifest, gaps: [{ ...gap, removed: [2] }] })).toBe("journal");
  expect(await code(text, { ...manifest, segments: [segment(1), segment(3)] })).toBe("chain");
  expect(await code(text, { ...manifest, segments: [segment(1)] })).toBe("journal");
  const nothing = await recording([...lines, {}], [1, 2, 3].map(segment), []);
  expect(await code(nothing.text, nothing.manifest)).toBe("chain");
});

it("finds every altered byte, every line that is gone, and every one that moved", async () => {
  const { text, manifest } = await recording(all, left, [gap]);
  for (let at = 0; at < text.length; at += 1) {
    const altered = utf8(text);
    altered[at]! ^= 1;
    expect(await code(new TextDecoder().decode(altered), manifest), `byte ${at}`).not.toBe("");
  }
  const whole = text.trimEnd().split("\n");
  for (let at = 0; at < whole.length; at += 1) {
    expect(await code(`${whole.filter((_, i) => i !== at).join("\n")}\n`, manifest)).not.toBe("");
  }
  expect(await code(`${[...whole].reverse().join("\n")}\n`, manifest)).toBe("chain");
  expect(await code(text.slice(0, -1), manifest)).toBe("journal");
});

it("says why pictures are missing where it is known", () => {
  const own = pieces([segment(1), segment(4), { ...segment(6), number: 6 }], "cam1", 6000);
  const last: Gap = { camera: "cam1", from_ns: 36e9, to_ns: 40e9, why: "dropped" };
  expect(withoutPictures(own, "cam1", [gap, last, { ...gap, camera: "cam2" }])).toEqual([
    { start: 6, end: 18, why: "dropped" },
    { start: 24, end: 30 },
    { start: 36, end: 40, why: "dropped" },
  ]);
});
