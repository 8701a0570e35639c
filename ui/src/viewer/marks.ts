/**
 * What a viewer marks and notes while watching. It leaves this page only signed with the viewer's key and
 * encrypted under the recording's, as an age file: whoever can open the recording can read it and tell who
 * made it (as `src/vault/access/marking.rs` does), and nobody can once the recording's key is destroyed.
 */

import type { Opened } from "./recording";
import type { Manifest } from "./manifest";
import { Refused } from "./refused";
import { checkNote, claimOf, GRANT, nameOf } from "./sign";

const KIND = "classveil-marks/2";
/** What a file of marks begins with that nobody signed. */
const UNSIGNED = "classveil-marks/1";
/** Longest file of marks, in bytes; what the box keeps is shorter. */
export const MARKS_LIMIT = 1 << 20;

/** A part of the recording and what was said of it, in milliseconds on its timeline. */
export interface Mark {
  readonly camera: string;
  readonly from_ms: number;
  readonly to_ms: number;
  readonly note: string;
}

/** Whether who marks name made them. */
export type Made =
  | "signed"
  | "unsigned"
  | "not-theirs"
  | "altered"
  | "other-recording"
  | "other-person"
  | "unreadable";

/** The marks of one person, as they lie with the recording. */
export interface Kept {
  readonly person: string;
  readonly made: Made;
  /** Whether the very key signed them that opened the recording here, whatever others can tell. */
  readonly mine: boolean;
  /** Whatever they are worth. */
  readonly marks: readonly Mark[];
}

/** What of an opened recording it takes to read marks. */
export type Readable = Pick<Opened, "manifest" | "unseal" | "public">;

/** The marks as an age file, signed as `person`; by nobody, where nobody knows who looks. */
export async function sealMarks(
  opened: Opened,
  person: string | null,
  marks: readonly Mark[],
): Promise<Uint8Array> {
  const { recording } = opened.manifest;
  if (person === null) return opened.seal(JSON.stringify({ format: UNSIGNED, recording, marks }));
  const { grant } = opened.viewer;
  const at = new Date().toISOString();
  const claim = { recording, at, marks, ...(grant === null ? {} : { grant }), by: person };
  return opened.seal(opened.sign(person, KIND, claim));
}

/** Reads a file of marks that is called `person`'s, or of whom it says itself. */
export async function unsealMarks(
  opened: Readable,
  file: Uint8Array,
  person: string | null,
): Promise<Kept> {
  const plain = (await opened.unseal(file)) ?? "";
  const kept = (made: Made, marks: readonly Mark[] = [], by = person ?? "", mine = false): Kept => ({
    person: by,
    made,
    mine,
    marks,
  });
  const claim = claimOf(plain, KIND);
  if (claim) {
    const marks = marksOf(claim);
    const { by } = claim;
    if (!marks || typeof by !== "string") return kept("unreadable");
    const made = judge(plain, claim, by, person ?? by, opened.manifest);
    const mine =
      made !== "other-recording" &&
      by === (person ?? by) &&
      checkNote(plain, by, [opened.public(by)]) === "holds";
    return kept(made, marks, person ?? by, mine);
  }
  try {
    const found = JSON.parse(plain) as Record<string, unknown> | null;
    const marks = found?.format === UNSIGNED ? marksOf(found) : null;
    if (!found || !marks) return kept("unreadable");
    return kept(isOf(opened.manifest, found.recording) ? "unsigned" : "other-recording", marks);
  } catch {
    return kept("unreadable");
  }
}

function judge(
  note: string,
  claim: Record<string, unknown>,
  by: string,
  person: string,
  manifest: Manifest,
): Made {
  const found = checkNote(note, by, signersOf(claim, by, manifest));
  if (found === "altered") return "altered";
  if (!isOf(manifest, claim.recording)) return "other-recording";
  if (found === "not") return "not-theirs";
  return by === person ? "signed" : "other-person";
}

/** The keys with which `by` signs, as far as the recording or the teacher's grant says. */
function signersOf(claim: Record<string, unknown>, by: string, manifest: Manifest): readonly string[] {
  const own = manifest.signers ?? [];
  const note = typeof claim.grant === "string" ? claim.grant : "";
  const grant = claimOf(note, GRANT);
  const counts =
    grant !== null &&
    manifest.teacher !== null &&
    grant.by === manifest.teacher &&
    checkNote(note, manifest.teacher, own) === "holds" &&
    isOf(manifest, grant.recording) &&
    grant.person === by &&
    Array.isArray(grant.signers);
  const granted = counts ? (grant.signers as unknown[]).filter((one) => typeof one === "string") : [];
  return [...own, ...(granted as string[])].filter((one) => nameOf(one) === by);
}

/** Whether what names `recording` is about this one, or about one that it was veiled anew from. */
const isOf = (manifest: Manifest, recording: unknown): boolean =>
  recording === manifest.recording || (manifest.replaces ?? []).some((one) => one === recording);

const marksOf = ({ marks }: Record<string, unknown>): readonly Mark[] | null =>
  Array.isArray(marks) && marks.every(isMark) ? marks : null;

function isMark(value: unknown): value is Mark {
  const mark = value as Partial<Mark> | null;
  return (
    typeof mark?.camera === "string" &&
    Number.isSafeInteger(mark.from_ms) &&
    Number.isSafeInteger(mark.to_ms) &&
    typeof mark.note === "string"
  );
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
    try {
      kept.push(await unsealMarks(opened, await source.read(name, MARKS_LIMIT), person));
    } catch (error) {
      if (error instanceof Refused && error.reason.code === "unreachable") throw error;
      kept.push({ person, made: "unreadable", mine: false, marks: [] });
    }
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
