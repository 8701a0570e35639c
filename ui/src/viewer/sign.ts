/**
 * What people sign, as `classveil` does (`src/vault/sign.rs`, docs/ref/access.md): an Ed25519 key that
 * is derived from the age identity, and C2SP signed notes of one kind each. The key lives in the
 * arguments of these functions and nowhere else.
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 as digest } from "@noble/hashes/sha2.js";
import { bech32 } from "@scure/base";

import { base64, hex, same, toBase64, utf8 } from "./bytes";

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

/** What signs in somebody's name, as long as the page needs it; no recording opens with it. */
export class SigningKey {
  readonly #seed: Uint8Array;

  constructor(identity: string) {
    this.#seed = seed(identity);
  }

  /** The public half under the pseudonym `name`, as the directory of people has it. */
  public(name: string): string {
    const key = ed25519.getPublicKey(this.#seed);
    return `${name}+${hex(keyId(name, key))}+${toBase64(concat(Uint8Array.of(ED25519), key))}`;
  }

  /** Signs `claim` as a statement of `kind`, in the name of `name`. */
  sign(name: string, kind: string, claim: object): string {
    // A signed note has no control characters.
    const json = JSON.stringify(claim).replace(
      /[\u007f-\u009f]/g,
      (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
    const text = `${kind}\n${json}\n`;
    const id = keyId(name, ed25519.getPublicKey(this.#seed));
    const signature = concat(id, ed25519.sign(utf8(text), this.#seed));
    return `${text}\n\u2014 ${name} ${toBase64(signature)}\n`;
  }
}

/** The public half of an identity's signing key under the pseudonym `name`. */
export const publicKey = (identity: string, name: string): string =>
  new SigningKey(identity).public(name);

const signNote = (identity: string, name: string, kind: string, claim: object): string =>
  new SigningKey(identity).sign(name, kind, claim);

/** Whose a public key says it is. */
export const nameOf = (key: string): string => key.slice(0, Math.max(0, key.indexOf("+")));

/** What the note says that is of `kind`, whoever signed it; `null` where it is none. */
export function claimOf(note: string, kind: string): Record<string, unknown> | null {
  const [first, json] = note.split("\n", 2);
  if (first !== kind || json === undefined) return null;
  try {
    const claim: unknown = JSON.parse(json);
    return typeof claim === "object" && claim !== null ? (claim as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/**
 * Whether one of `keys` signed `note`, in the name of `by`. Where a signature names such a key and does
 * not hold, the note was altered.
 */
export function checkNote(note: string, by: string, keys: readonly string[]): "holds" | "altered" | "not" {
  const end = note.lastIndexOf("\n\n") + 1;
  if (end === 0 || !note.endsWith("\n")) return "not";
  const [text, lines] = [note.slice(0, end), note.slice(end + 1, -1).split("\n")];
  let found: "altered" | "not" = "not";
  for (const key of keys.filter((one) => nameOf(one) === by)) {
    const bytes = base64(key.split("+").slice(2).join("+"));
    if (bytes?.length !== 33 || bytes[0] !== ED25519) continue;
    const point = bytes.subarray(1);
    for (const line of lines) {
      const start = `\u2014 ${by} `;
      const signature = line.startsWith(start) ? base64(line.slice(start.length)) : null;
      if (signature?.length !== KEY_ID_BYTES + 64) continue;
      if (!same(signature.subarray(0, KEY_ID_BYTES), keyId(by, point))) continue;
      if (holds(signature.subarray(KEY_ID_BYTES), utf8(text), point)) return "holds";
      found = "altered";
    }
  }
  return found;
}

function holds(signature: Uint8Array, text: Uint8Array, key: Uint8Array): boolean {
  try {
    return ed25519.verify(signature, text, key, { zip215: false });
  } catch {
    return false;
  }
}

/** The kind of a grant's statement. */
export const GRANT = "classveil-grant/1";

/** What a grant says. */
export interface GrantTerms {
  readonly recording: string;
  /** SHA-256 of `key.age`. */
  readonly of: string;
  readonly person: string;
  readonly recipients: readonly string[];
  /** With which keys that person signs. */
  readonly signers: readonly string[];
  readonly from: string;
  readonly until: string;
}

/** The signed statement of a grant, whose wrapped key has that length and digest. */
export function signGrant(
  identity: string,
  by: string,
  { recording, of, person, recipients, signers, from, until }: GrantTerms,
  key: { readonly bytes: number; readonly sha256: string },
): string {
  const claim = { recording, of, person, recipients, signers, from, until, key, by };
  return signNote(identity, by, GRANT, claim);
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
