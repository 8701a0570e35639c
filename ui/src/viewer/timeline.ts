/**
 * Where a camera's segments lie in time, and what to do next to play on: pure functions, so that
 * what is fetched, kept and dropped can be told without a browser.
 */

import type { Gap as Stated, Segment } from "./manifest";

/** A segment in seconds on the recording's timeline. */
export interface Piece {
  readonly segment: Segment;
  readonly start: number;
  readonly end: number;
}

/** Time without pictures. */
export interface Gap {
  readonly start: number;
  readonly end: number;
  /** As the recording states it; absent where it does not. */
  readonly why?: string;
}

/** So much is kept ready before the place that plays, in seconds: three segments at least. */
export const AHEAD = 20;
/** So much stays behind it, for a short step back. */
export const BEHIND = 12;
/** Less than this between two segments is no gap: a frame or two at the lowest frame rates. */
const GAP = 0.35;
/** The picture may stop this long before a segment's written end. */
const EDGE = 0.25;

const NANOS = 1e9;

/** The segments of `camera` in order; those whose times were not written down get likely ones. */
export function pieces(segments: readonly Segment[], camera: string, segmentMs: number): Piece[] {
  let last = 0;
  return segments
    .filter((segment) => segment.camera === camera)
    .map((segment) => {
      const start = segment.start_ns === null ? last : segment.start_ns / NANOS;
      const end = segment.end_ns === null ? start + segmentMs / 1000 : segment.end_ns / NANOS;
      last = Math.max(end, start);
      return { segment, start, end: last };
    });
}

/** Where there are no pictures between the first and the last. */
export function gaps(all: readonly Piece[]): Gap[] {
  return all.flatMap((piece, at) => {
    const next = all[at + 1];
    return next && next.start - piece.end > GAP ? [{ start: piece.end, end: next.start }] : [];
  });
}

/** All times of `camera` without pictures: those that are stated, with their reason, and others. */
export function withoutPictures(
  all: readonly Piece[],
  camera: string,
  stated: readonly Stated[],
): Gap[] {
  const known: Gap[] = stated
    .filter((gap) => gap.camera === camera && gap.to_ns > gap.from_ns)
    .map(({ from_ns, to_ns, why }) => ({ start: from_ns / NANOS, end: to_ns / NANOS, why }));
  const others = gaps(all).filter(
    (gap) => !known.some((one) => one.start < gap.end && gap.start < one.end),
  );
  return [...known, ...others].sort((a, b) => a.start - b.start);
}

/** What the player does next. */
export type Step =
  | { do: "append"; index: number }
  | { do: "evict"; index: number }
  | { do: "jump"; to: number }
  | { do: "end" }
  | { do: "wait" };

/**
 * The next step when `at` seconds are shown and `held` segments are in the buffer. `starved` says
 * that the picture stands still for want of more.
 */
export function next(
  all: readonly Piece[],
  held: ReadonlySet<number>,
  at: number,
  starved: boolean,
): Step {
  const first = all.findIndex((piece) => piece.end > at);
  const here = all[first];
  if (here) {
    const before = all[first - 1];
    const after = all[first + 1];
    if (at < here.start) {
      // Between two segments there is nothing to wait for; a short hole the browser may play over.
      const wide = !before || here.start - before.end > GAP;
      if (wide || (starved && held.has(first))) return { do: "jump", to: here.start };
    } else if (starved && held.has(first) && after && at > here.end - EDGE) {
      if (after.start - here.end > GAP) return { do: "jump", to: after.start };
    }
  }
  const from = first < 0 ? all.length - 1 : first;
  for (let index = from; index < all.length; index += 1) {
    const piece = all[index];
    // However far away the next one begins after a gap, it is wanted when its turn comes.
    if (!piece || (piece.start > at + AHEAD && index > from + 1)) break;
    if (!held.has(index)) return { do: "append", index };
  }
  for (const index of held) {
    const piece = all[index];
    if (piece && (piece.end < at - BEHIND || (piece.start > at + 2 * AHEAD && index > from + 1))) {
      return { do: "evict", index };
    }
  }
  return held.has(all.length - 1) ? { do: "end" } : { do: "wait" };
}

/** `1:02:03` or `2:03`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number): string => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
