/**
 * Which signing key is whose, as far as a recording says it (as `src/vault/access/marking.rs` does): its
 * signed manifest, and of whom that names no key, the statement by which the teacher gave them access.
 */

import { isDigest, type Manifest } from "./manifest";
import { hasOnly, isId, isMoment, isName, isSha256 } from "./shape";
import { checkNote, claimOf, GRANT, isKey, nameOf, type GrantTerms } from "./sign";

/** What a grant says that counts. */
export type Granted = Pick<GrantTerms, "person"> & { readonly signers?: readonly string[] };

const MEMBERS = ["recording", "of", "person", "recipients", "signers", "from", "until", "key", "by"];

/** What the recording's teacher says in `note`; `null` where it is no grant of this recording by them. */
export function grantOf(note: string | null, manifest: Manifest): Granted | null {
  const claim = note === null ? null : claimOf(note, GRANT);
  if (note === null || claim === null || !isGrant(claim)) return null;
  const { by, recording } = claim;
  const counts = by === manifest.teacher && isOf(manifest, recording);
  return counts && checkNote(note, by, manifest.signers ?? []) === "holds" ? claim : null;
}

/** With which keys people sign, and whether it is the grant that says so for `person`. */
export function signersOf(
  person: string,
  grant: Granted | null,
  { signers = [] }: Manifest,
): { readonly keys: readonly string[]; readonly byGrant: boolean } {
  // The teacher's word is not taken on those whom the box itself named.
  const byGrant = grant?.person === person && !signers.some((one) => nameOf(one) === person);
  return { keys: byGrant ? [...signers, ...(grant.signers ?? [])] : signers, byGrant };
}

/** Who signs with a key, which under a name is spelled as `spelled` says; `null` where nobody says. */
export function personOf(
  spelled: (name: string) => string,
  grant: Granted | null,
  manifest: Manifest,
): string | null {
  const people = (manifest.signers ?? []).map(nameOf);
  if (grant) people.push(grant.person);
  const isTheirs = (one: string): boolean => signersOf(one, grant, manifest).keys.includes(spelled(one));
  return people.find(isTheirs) ?? null;
}

/** Whether what names `recording` is about this one, or about one that it was veiled anew from. */
export const isOf = (manifest: Manifest, recording: string): boolean =>
  recording === manifest.recording || (manifest.replaces ?? []).includes(recording);

type Claim = Granted & { readonly recording: string; readonly by: string };

const isGrant = (claim: Record<string, unknown>): claim is Record<string, unknown> & Claim =>
  hasOnly(claim, MEMBERS) &&
  isId(claim.recording) &&
  isSha256(claim.of) &&
  isName(claim.person) &&
  isAll(claim.recipients, (one) => /^age1[0-9a-z]{58}$/.test(String(one))) &&
  (claim.signers === undefined || isAll(claim.signers, (one) => isKey(one) && isName(nameOf(one)))) &&
  isMoment(claim.from) &&
  isMoment(claim.until) &&
  isDigest(claim.key) &&
  hasOnly(claim.key, ["bytes", "sha256"]) &&
  isName(claim.by);

const isAll = (value: unknown, is: (one: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(is);
