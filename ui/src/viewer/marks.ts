/**
 * What a viewer marks and notes while watching. It leaves this page only encrypted under the
 * recording's key, as an age file: whoever can open the recording can read it, and nobody can once
 * the recording's key is destroyed.
 */

import type { Opened } from "./recording";
import { Refused, refuse } from "./refused";

const FORMAT = "classveil-marks/1";
/** Longest file of marks, in bytes; what the box keeps is shorter. */
export const MARKS_LIMIT = 1 << 20;

/** A part of the recording and what was said of it, in milliseconds on its timeline. */
export interface Mark {
  readonly camera: string;
  readonly from_ms: number;
  readonly to_ms: number;
  readonly note: string;
}

/** The marks as the text of an age file. */
export async function sealMarks(opened: Opened, marks: readonly Mark[]): Promise<Uint8Array> {
  const { recording } = opened.manifest;
  return opened.seal(JSON.stringify({ format: FORMAT, recording, marks }));
}

/** Reads a file of marks; throws where it is not one of this recording. */
export async function unsealMarks(opened: Opened, file: Uint8Array): Promise<Mark[]> {
  const plain = await opened.unseal(file);
  let found: unknown;
  try {
    found = plain === null ? null : JSON.parse(plain);
  } catch {
    found = null;
  }
  const { format, recording, marks } = (found ?? {}) as Record<string, unknown>;
  if (format !== FORMAT || recording !== opened.manifest.recording || !Array.isArray(marks)) {
    return refuse({ code: "marks" });
  }
  return marks.every(isMark) ? marks : refuse({ code: "marks" });
}

function isMark(value: unknown): value is Mark {
  const mark = value as Partial<Mark> | null;
  return (
    typeof mark?.camera === "string" &&
    Number.isSafeInteger(mark.from_ms) &&
    Number.isSafeInteger(mark.to_ms) &&
    typeof mark.note === "string"
  );
}

/** The marks of one person, as they lie with the recording. */
export interface Kept {
  readonly person: string;
  /** `null` where they cannot be read. */
  readonly marks: readonly Mark[] | null;
}

/**
 * All marks that lie with the recording. A file that is no good spoils nothing but itself; one that
 * could not be fetched is not taken for none, since what is kept next takes its place.
 */
export async function keptMarks(opened: Opened): Promise<Kept[]> {
  const { source } = opened.checked;
  const kept: Kept[] = [];
  for (const name of [...(await (source.listAgain?.() ?? source.list()))].sort()) {
    const person = name.match(/^marks\/([a-z0-9-]{1,32})\.age$/)?.[1];
    if (person === undefined) continue;
    let marks: readonly Mark[] | null;
    try {
      marks = await unsealMarks(opened, await source.read(name, MARKS_LIMIT));
    } catch (error) {
      if (error instanceof Refused && error.reason.code === "unreachable") throw error;
      marks = null;
    }
    kept.push({ person, marks });
  }
  return kept;
}

/** Two times a line, without the notes: what `classveil export --fragments` takes. */
export function fragments(marks: readonly Mark[]): string {
  return [...marks]
    .sort((a, b) => a.from_ms - b.from_ms)
    .map(({ from_ms, to_ms }) => `${stamp(from_ms)} ${stamp(to_ms)}\n`)
    .join("");
}

function stamp(ms: number): string {
  const two = (n: number): string => String(Math.floor(n)).padStart(2, "0");
  const [h, m, s] = [ms / 3_600_000, (ms / 60_000) % 60, (ms / 1000) % 60];
  const rest = String(ms % 1000).padStart(3, "0");
  return `${h >= 1 ? `${Math.floor(h)}:` : ""}${two(m)}:${two(s)}.${rest}`;
}
