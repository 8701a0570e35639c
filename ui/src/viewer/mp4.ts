/** What a segment's header says of its codecs, as Media Source Extensions want it (RFC 6381). */

const CONTAINERS = new Set(["moov", "trak", "mdia", "minf", "stbl"]);
/** A sample entry's own fields, before its boxes (ISO 14496-12, 12.1.3). */
const VISUAL_ENTRY = 78;

/** `video/mp4; codecs="..."` of a complete fragmented MP4; `null` where there is no H.264 in it. */
export function mimeType(segment: Uint8Array): string | null {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength);
  const found = { video: null as string | null, audio: false };
  walk(view, 0, view.byteLength, found);
  if (found.video === null) return null;
  // The encoder makes AAC-LC and nothing else.
  return `video/mp4; codecs="${found.video}${found.audio ? ",mp4a.40.2" : ""}"`;
}

function walk(
  view: DataView,
  from: number,
  to: number,
  found: { video: string | null; audio: boolean },
): void {
  let at = from;
  while (at + 8 <= to) {
    const size = view.getUint32(at);
    const kind = fourCc(view, at + 4);
    // Larger boxes hold pictures and come after the header.
    if (size < 8 || at + size > to) return;
    const body = at + 8;
    const end = at + size;
    if (CONTAINERS.has(kind)) walk(view, body, end, found);
    else if (kind === "stsd") walk(view, body + 8, end, found);
    else if (kind === "avc1") walk(view, body + VISUAL_ENTRY, end, found);
    else if (kind === "mp4a") found.audio = true;
    else if (kind === "avcC" && body + 4 <= end) {
      const bytes = [1, 2, 3].map((i) => view.getUint8(body + i).toString(16).padStart(2, "0"));
      found.video = `avc1.${bytes.join("")}`;
    }
    at = end;
  }
}

const fourCc = (view: DataView, at: number): string =>
  String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
