/**
 * What a viewer marks and notes while watching. It leaves this page only signed with the viewer's key and
 * encrypted under the recording's, as an age file: whoever can open the recording can read it and tell who
 * made it (as `src/vault/access/marking.rs` does), and nobody can once the recording's key is destroyed.
 */

import type { Opened } from "./recording";
import type { Manifest } from "./manifest";
import { Refused } from "./refused";
import { hasOnly, isCamera, isCount, isId, isMoment, isName, isObject } from "./shape";
import { checkNote, claimOf } from "./sign";
import { grantOf, isOf, signersOf } from "./signers";

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
  /** Whether it is the teacher's grant alone that says whose key signed them. */
  readonly byGrant: boolean;
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
  const claim = signedClaim(plain);
  if (claim) {
    const { by, marks } = claim;
    const name = person ?? by;
    const { made, byGrant } = judge(plain, claim, name, opened.manifest);
    const mine =
      made !== "other-recording" &&
      by === name &&
      checkNote(plain, by, [opened.public(by)]) === "holds";
    return { person: name, made, byGrant, mine, marks };
  }
  const found = unsignedClaim(plain);
  if (!found) return unreadable(person ?? "");
  const made = isOf(opened.manifest, found.recording) ? "unsigned" : "other-recording";
  return { ...unreadable(person ?? ""), made, marks: found.marks };
}

const unreadable = (person: string): Kept => ({
  person,
  made: "unreadable",
  byGrant: false,
  mine: false,
  marks: [],
});

/** Whether nobody can tell whose these marks of this recording are, since it names nobody's keys. */
export const isAnybodys = ({ signers = [] }: Manifest, { made }: Kept): boolean =>
  signers.length === 0 && (made === "unsigned" || made === "not-theirs");

/** Whether `own` goes on with these marks as their own. What somebody else put under their name is not. */
export const isOwn = (manifest: Manifest, kept: Kept, own: string | null): boolean =>
  kept.person === own && (kept.made === "signed" || kept.mine || isAnybodys(manifest, kept));

function judge(
  note: string,
  { by, recording, grant }: Claim,
  person: string,
  manifest: Manifest,
): { readonly made: Made; readonly byGrant: boolean } {
  const { keys, byGrant } = signersOf(by, grantOf(grant ?? null, manifest), manifest);
  const found = checkNote(note, by, keys);
  const bad = (made: Made) => ({ made, byGrant: false });
  if (found === "altered") return bad("altered");
  if (!isOf(manifest, recording)) return bad("other-recording");
  if (found === "not") return bad("not-theirs");
  return by === person ? { made: "signed", byGrant } : bad("other-person");
}

/** What somebody signed. */
interface Claim {
  readonly recording: string;
  readonly marks: readonly Mark[];
  readonly grant?: string | null;
  readonly by: string;
}

function signedClaim(plain: string): Claim | null {
  const claim = claimOf(plain, KIND);
  const isClaim =
    claim !== null &&
    hasOnly(claim, ["recording", "at", "marks", "grant", "by"]) &&
    isId(claim.recording) &&
    isMoment(claim.at) &&
    isMarks(claim.marks) &&
    typeof (claim.grant ?? "") === "string" &&
    isName(claim.by);
  return isClaim ? (claim as unknown as Claim) : null;
}

function unsignedClaim(plain: string): Pick<Claim, "recording" | "marks"> | null {
  try {
    const found: unknown = JSON.parse(plain);
    const isClaim =
      isObject(found) &&
      hasOnly(found, ["format", "recording", "marks"]) &&
      found.format === UNSIGNED &&
      isId(found.recording) &&
      isMarks(found.marks);
    return isClaim ? (found as unknown as Claim) : null;
  } catch {
    return null;
  }
}

const isMarks = (value: unknown): boolean => Array.isArray(value) && value.every(isMark);

const isMark = (value: unknown): boolean =>
  isObject(value) &&
  hasOnly(value, ["camera", "from_ms", "to_ms", "note"]) &&
  isCamera(value.camera) &&
  isCount(value.from_ms) &&
  isCount(value.to_ms) &&
  typeof value.note === "string";

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
      kept.push(unreadable(person));
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
