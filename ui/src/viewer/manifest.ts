/** What a recording says about itself: `manifest.json`, checked before a word of it counts. */

import { text } from "./bytes";
import { boxKey, signature, verify, type BoxKey } from "./minisign";
import { refuse } from "./refused";
import { isCamera, isCount, isId, isMoment, isObject, isSha256 } from "./shape";

export interface FileDigest {
  readonly bytes: number;
  readonly sha256: string;
}

export interface Segment {
  readonly camera: string;
  readonly number: number;
  /** On the recording's timeline; `null` where the machine stopped before it wrote this down. */
  readonly start_ns: number | null;
  readonly end_ns: number | null;
  readonly frames: number | null;
  readonly video: FileDigest;
  readonly tracks: FileDigest;
}

/** A stretch of one camera of which nothing is kept, on purpose or because the camera was away. */
export interface Gap {
  readonly camera: string;
  readonly from_ns: number;
  readonly to_ns: number;
  readonly why: string;
  /** Numbers of segments that had been written and were removed. */
  readonly removed?: readonly number[];
}

/** The parts of the manifest that the viewer uses. What it does not know is left alone. */
export interface Manifest {
  readonly format: "classveil-recording/1";
  readonly recording: string;
  readonly state: "recording" | "sealed" | "interrupted";
  readonly started: string;
  readonly ended: string | null;
  readonly delete_by: string;
  readonly talk_closed?: string;
  readonly purpose: string;
  readonly never_for: readonly string[];
  readonly legal_basis: string;
  readonly class: string | null;
  readonly teacher: string | null;
  readonly coach: string | null;
  readonly cameras: readonly string[];
  readonly policy: string;
  readonly audio: boolean;
  readonly segment_ms: number;
  readonly software: string;
  readonly recipients: readonly string[];
  /** With which keys those people sign, each under its owner's pseudonym. */
  readonly signers?: readonly string[];
  /** The recordings that this one was veiled anew from. */
  readonly replaces?: readonly string[];
  readonly box_key: string;
  readonly key: FileDigest;
  readonly details: FileDigest;
  readonly fault: string | null;
  readonly may_miss_ms: number | null;
  readonly journal: { readonly lines: number; readonly sha256: string };
  readonly segments: readonly Segment[];
  readonly gaps?: readonly Gap[];
}

export const MANIFEST = "manifest.json";
export const SIGNATURE = "manifest.json.minisig";
export const JOURNAL = "segments.jsonl";
export const KEY = "key.age";
export const DETAILS = "details.json.age";

/** Where a segment's pictures lie in the recording's folder. */
export const videoFile = (segment: Segment): string =>
  `${segment.camera}/${String(segment.number).padStart(6, "0")}.mp4.age`;

export interface Trusted {
  readonly manifest: Manifest;
  readonly signer: BoxKey;
}

/**
 * Checks the signature and reads the manifest. `pinned` is the box key that the viewer's user has
 * from elsewhere; without it the manifest's own key counts, which shows damage but not forgery.
 */
export function readManifest(bytes: Uint8Array, signed: Uint8Array, pinned: BoxKey | null): Trusted {
  let parsed: unknown;
  let sig;
  try {
    sig = signature(text(signed));
  } catch {
    sig = null;
  }
  if (!sig) return refuse({ code: "signature", file: SIGNATURE });
  try {
    parsed = JSON.parse(text(bytes));
  } catch {
    parsed = null;
  }
  const named = isObject(parsed) && typeof parsed.box_key === "string" ? boxKey(parsed.box_key) : null;
  const key = pinned ?? named;
  if (!key) return refuse({ code: "altered", file: MANIFEST });
  if (sig.signer !== key.id) {
    // A flipped bit in a key id is damage; a whole signature of another box is that box's.
    if (named && verify(named, bytes, sig)) {
      return refuse({ code: "other-box", signer: sig.signer, expected: key.id });
    }
    return refuse({ code: "signature", file: SIGNATURE });
  }
  if (!verify(key, bytes, sig)) return refuse({ code: "altered", file: MANIFEST });
  if (named?.text !== key.text) return refuse({ code: "altered", file: MANIFEST });
  if (!isManifest(parsed)) return refuse({ code: "format" });
  if (parsed.state === "recording") return refuse({ code: "unsealed" });
  return { manifest: parsed, signer: key };
}

export const isDigest = (value: unknown): value is FileDigest =>
  isObject(value) && isCount(value.bytes) && isSha256(value.sha256);

/** A time on the recording's timeline, where it was written down. */
const isTime = (value: unknown): boolean => value === null || isCount(value);

export const isSegment = (value: unknown): value is Segment =>
  isObject(value) &&
  isCamera(value.camera) &&
  Number.isSafeInteger(value.number) &&
  (value.number as number) > 0 &&
  isTime(value.start_ns) &&
  isTime(value.end_ns) &&
  isDigest(value.video) &&
  isDigest(value.tracks);

export const isGap = (value: unknown): value is Gap =>
  isObject(value) &&
  isCamera(value.camera) &&
  Number.isSafeInteger(value.from_ns) &&
  Number.isSafeInteger(value.to_ns) &&
  typeof value.why === "string" &&
  (value.removed === undefined ||
    (Array.isArray(value.removed) && value.removed.every((one) => Number.isSafeInteger(one))));

const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.every((one) => typeof one === "string");

function isManifest(value: unknown): value is Manifest {
  return (
    isObject(value) &&
    value.format === "classveil-recording/1" &&
    isId(value.recording) &&
    (value.state === "recording" || value.state === "sealed" || value.state === "interrupted") &&
    isMoment(value.started) &&
    isMoment(value.delete_by) &&
    typeof value.purpose === "string" &&
    isTexts(value.never_for) &&
    isTexts(value.recipients) &&
    isTexts(value.signers ?? []) &&
    isTexts(value.replaces ?? []) &&
    (value.teacher === null || typeof value.teacher === "string") &&
    Array.isArray(value.cameras) &&
    value.cameras.every(isCamera) &&
    isDigest(value.key) &&
    isDigest(value.details) &&
    isObject(value.journal) &&
    Number.isSafeInteger(value.journal.lines) &&
    typeof value.journal.sha256 === "string" &&
    typeof value.segment_ms === "number" &&
    Array.isArray(value.segments) &&
    value.segments.every(isSegment) &&
    (value.gaps === undefined || (Array.isArray(value.gaps) && value.gaps.every(isGap)))
  );
}
