import { describe, expect, it } from "vitest";

import type { Segment } from "./manifest";
import { AHEAD, BEHIND, clock, gaps, next, pieces } from "./timeline";

const digest = { bytes: 1, sha256: "0".repeat(64) };
const segment = (number: number, start: number | null, end: number | null): Segment => ({
  camera: "cam1",
  number,
  start_ns: start === null ? null : start * 1e9,
  end_ns: end === null ? null : end * 1e9,
  frames: null,
  video: digest,
  tracks: digest,
});

/** Segments of six seconds, a gap of a minute after the tenth. */
const lesson = (count: number): Segment[] =>
  Array.from({ length: count }, (_, i) => {
    const start = i * 6 + (i >= 10 ? 60 : 0);
    return segment(i + 1, start, start + 6);
  });

describe("pieces", () => {
  it("gives a segment without times the place after the one before", () => {
    const all = pieces([segment(1, 0, 6), segment(2, null, null), segment(3, 14, 20)], "cam1", 6000);
    expect(all.map(({ start, end }) => [start, end])).toEqual([[0, 6], [6, 12], [14, 20]]);
    expect(gaps(all)).toEqual([{ start: 12, end: 14 }]);
    expect(pieces(lesson(3), "cam2", 6000)).toEqual([]);
  });
});

/** A browser that plays what it holds, a tenth of a second at a time. */
function play(all: ReturnType<typeof pieces>, from: number) {
  const held = new Set<number>();
  const fetched: number[] = [];
  let at = from;
  let most = 0;
  for (let turn = 0; turn < 60_000; turn += 1) {
    const covered = [...held].some((i) => at >= all[i]!.start && at + 0.1 < all[i]!.end + 0.001);
    const step = next(all, held, at, !covered);
    if (step.do === "append") {
      held.add(step.index);
      fetched.push(step.index);
    } else if (step.do === "evict") held.delete(step.index);
    else if (step.do === "jump") at = step.to;
    else if (covered || [...held].some((i) => Math.abs(all[i]!.start - at - 0.1) < 0.11)) at += 0.1;
    else return { at, fetched, most };
    most = Math.max(most, held.size);
  }
  throw new Error(`never ends: at ${at}`);
}

describe("next", () => {
  const all = pieces(lesson(450), "cam1", 6000);
  const end = all.at(-1)!.end;

  it("plays a lesson to its end over a gap, and holds little at a time", () => {
    const { at, fetched, most } = play(all, 0);
    expect(end - at).toBeLessThan(0.3);
    expect(fetched).toEqual([...all.keys()]);
    expect(most).toBeLessThanOrEqual(Math.ceil((AHEAD + BEHIND) / 6) + 2);
  });

  it("fetches what is wanted first wherever somebody jumps", () => {
    for (const to of [0, 5.99, 6, 59.9, 300.5, end - 0.2]) {
      const step = next(all, new Set(), to, true);
      const index = all.findIndex((piece) => piece.start <= to && to < piece.end);
      expect(step, `at ${to}`).toEqual({ do: "append", index });
    }
    // Into the gap: on to where there are pictures.
    expect(next(all, new Set(), 90, true)).toEqual({ do: "jump", to: 120 });
    // Beyond the end: the last one.
    expect(next(all, new Set(), end + 1, true)).toEqual({ do: "append", index: 449 });
  });

  it("drops what lies far off, never what plays", () => {
    const held = new Set([0, 50, 51, 52, 53, 54, 55, 200]);
    const at = all[51]!.start + 1;
    const dropped: number[] = [];
    for (;;) {
      const step = next(all, held, at, false);
      if (step.do !== "evict") break;
      held.delete(step.index);
      dropped.push(step.index);
    }
    expect(dropped.sort((a, b) => a - b)).toEqual([0, 200]);
  });

  it("begins where the recording begins, and ends where it ends", () => {
    const late = pieces([segment(1, 3, 9)], "cam1", 6000);
    expect(next(late, new Set(), 0, true)).toEqual({ do: "jump", to: 3 });
    expect(next(late, new Set([0]), 4, false)).toEqual({ do: "end" });
  });
});

it("writes times as people read them", () => {
  expect([0, 61.9, 3723, -1].map(clock)).toEqual(["0:00", "1:01", "1:02:03", "0:00"]);
});
