/**
 * What people sign, as `classveil` does (`src/vault/sign.rs`, docs/ref/access.md): an Ed25519 key that
 * is derived from the age identity, and C2SP signed notes of one kind each. The key lives in the
 * arguments of these functions and nowhere else.
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 as digest } from "@noble/hashes/sha2.js";
import { bech32 } from "@scure/base";

import { hex, toBase64, utf8 } from "./bytes";

const INFO = "classveil/sign/v1";
/** Signature type 0x01 of C2SP `signed-note`: Ed25519. */
const ED25519 = 1;
const KEY_ID_BYTES = 4;

/** The seed of the signing key that belongs to an age identity. */
function seed(identity: string): Uint8Array {
  const { bytes } = bech32.decodeToBytes(identity);
  return hkdf(digest, bytes, undefined, utf8(INFO), 32);
}

const concat = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

function keyId(name: string, key: Uint8Array): Uint8Array {
  return digest(concat(utf8(`${name}\n`), Uint8Array.of(ED25519), key)).subarray(0, KEY_ID_BYTES);
}

/** The public half under the pseudonym `name`, as the directory of people has it. */
export function publicKey(identity: string, name: string): string {
  const key = ed25519.getPublicKey(seed(identity));
  return `${name}+${hex(keyId(name, key))}+${toBase64(concat(Uint8Array.of(ED25519), key))}`;
}

/** Signs `claim` as a statement of `kind`, in the name of `name`. */
export function signNote(identity: string, name: string, kind: string, claim: object): string {
  const secret = seed(identity);
  const text = `${kind}\n${JSON.stringify(claim)}\n`;
  const id = keyId(name, ed25519.getPublicKey(secret));
  const signature = concat(id, ed25519.sign(utf8(text), secret));
  return `${text}\n\u2014 ${name} ${toBase64(signature)}\n`;
}

/** What a grant says. */
export interface GrantTerms {
  readonly recording: string;
  /** SHA-256 of `key.age`. */
  readonly of: string;
  readonly person: string;
  readonly recipients: readonly string[];
  readonly from: string;
  readonly until: string;
}

/** The signed statement of a grant, whose wrapped key has that length and digest. */
export function signGrant(
  identity: string,
  by: string,
  { recording, of, person, recipients, from, until }: GrantTerms,
  key: { readonly bytes: number; readonly sha256: string },
): string {
  const claim = { recording, of, person, recipients, from, until, key, by };
  return signNote(identity, by, "classveil-grant/1", claim);
}

/** The answer to a challenge: what `classveil people answer` writes. */
export function signAnswer(
  identity: string,
  { by, recipient, answer, older }: { by: string; recipient: string; answer: string; older: string | null },
): string {
  const own = { by, recipient, sign: publicKey(identity, by), answer };
  const change = older && signNote(older, by, "classveil-key-change/1", { by, new: recipient });
  return JSON.stringify({ answer: signNote(identity, by, "classveil-key-answer/1", own), change });
}

/** Somebody's word that a key is another's. */
export const signApproval = (identity: string, by: string, person: string, recipient: string): string =>
  signNote(identity, by, "classveil-key-approval/1", { person, recipient, by });

/** The owner's word that one of their keys is not to count any more. */
export const signKeyEnd = (identity: string, by: string, recipient: string): string =>
  signNote(identity, by, "classveil-key-end/1", { by, recipient });

/** What a challenge says, opened; `null` where it is none. */
export function readChallenge(
  opened: string,
): { person: string; recipient: string; answer: string } | null {
  if (!opened.trimStart().startsWith("classveil-challenge/1\n")) return null;
  const field = (name: string): string =>
    opened.match(new RegExp(`^${name}: (\\S+)\\s*$`, "m"))?.[1] ?? "";
  const found = { person: field("person"), recipient: field("recipient"), answer: field("answer") };
  return Object.values(found).includes("") ? null : found;
}
