/**
 * `segments.jsonl`: each line carries the digest of the line before, the first one a digest that
 * ties it to the recording and its key. The signed manifest holds the digest of the last. A line
 * states a segment, or a gap, which may take segments of earlier lines with it.
 */

import { sha256, text, utf8 } from "./bytes";
import { isGap, isSegment, type Gap, type Manifest, type Segment } from "./manifest";
import { refuse } from "./refused";

/** Checks the journal against the manifest; throws where a line does not belong where it stands. */
export async function checkJournal(bytes: Uint8Array, manifest: Manifest): Promise<void> {
  let whole: string;
  try {
    whole = text(bytes);
  } catch {
    return refuse({ code: "journal" });
  }
  if (whole !== "" && !whole.endsWith("\n")) return refuse({ code: "journal" });
  const lines = whole.split("\n").slice(0, -1);
  let head = await sha256(
    utf8(`classveil-journal/1\n${manifest.recording}\n${manifest.key.sha256}\n`),
  );
  let segments: [number, Segment][] = [];
  const gaps: Gap[] = [];
  for (const [at, line] of lines.entries()) {
    const found = parse(line);
    if (found?.previous !== head) return refuse({ code: "chain", line: at + 1 });
    const { segment, gap } = found;
    if (gap === undefined && isSegment(segment)) {
      segments.push([at + 1, segment]);
    } else if (segment === undefined && isGap(gap)) {
      segments = segments.filter(
        ([, one]) => one.camera !== gap.camera || !gap.removed?.includes(one.number),
      );
      gaps.push(gap);
    } else {
      return refuse({ code: "chain", line: at + 1 });
    }
    head = await sha256(utf8(line));
  }
  if (lines.length !== manifest.journal.lines || head !== manifest.journal.sha256) {
    return refuse({ code: "journal" });
  }
  const listed = manifest.segments;
  const stated = manifest.gaps ?? [];
  if (segments.length !== listed.length || gaps.length !== stated.length) {
    return refuse({ code: "journal" });
  }
  const differs = segments.find(([, segment], at) => !equal(segment, listed[at]));
  if (differs) return refuse({ code: "chain", line: differs[0] });
  if (!gaps.every((gap, at) => sameGap(gap, stated[at]))) return refuse({ code: "journal" });
}

function parse(line: string): { previous?: unknown; segment?: unknown; gap?: unknown } | null {
  try {
    const found: unknown = JSON.parse(line);
    return typeof found === "object" && found !== null ? found : null;
  } catch {
    return null;
  }
}

function equal(a: Segment, b: Segment | undefined): boolean {
  return (
    b !== undefined &&
    a.camera === b.camera &&
    a.number === b.number &&
    a.start_ns === b.start_ns &&
    a.end_ns === b.end_ns &&
    a.video.sha256 === b.video.sha256 &&
    a.video.bytes === b.video.bytes &&
    a.tracks.sha256 === b.tracks.sha256
  );
}

function sameGap(a: Gap, b: Gap | undefined): boolean {
  return (
    b !== undefined &&
    a.camera === b.camera &&
    a.from_ns === b.from_ns &&
    a.to_ns === b.to_ns &&
    a.why === b.why &&
    (a.removed ?? []).join() === (b.removed ?? []).join()
  );
}
