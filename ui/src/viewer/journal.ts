/**
 * `segments.jsonl`: each line carries the digest of the line before, the first one a digest that
 * ties it to the recording and its key. The signed manifest holds the digest of the last.
 */

import { sha256, text, utf8 } from "./bytes";
import { isSegment, type Manifest, type Segment } from "./manifest";
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
  const segments: Segment[] = [];
  for (const [at, line] of lines.entries()) {
    const found = parse(line);
    if (found?.previous !== head) return refuse({ code: "chain", line: at + 1 });
    if (found.segment !== undefined) {
      if (!isSegment(found.segment)) return refuse({ code: "chain", line: at + 1 });
      segments.push(found.segment);
    }
    head = await sha256(utf8(line));
  }
  if (lines.length !== manifest.journal.lines || head !== manifest.journal.sha256) {
    return refuse({ code: "journal" });
  }
  const listed = manifest.segments;
  if (segments.length !== listed.length) return refuse({ code: "journal" });
  const differs = segments.findIndex((segment, at) => !equal(segment, listed[at]));
  if (differs >= 0) return refuse({ code: "chain", line: differs + 1 });
}

function parse(line: string): { previous?: unknown; segment?: unknown } | null {
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
