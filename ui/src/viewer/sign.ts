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
import { isObject } from "./shape";

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

/** A public key as the directory of people has it. */
const spell = (name: string, key: Uint8Array): string =>
  `${name}+${hex(keyId(name, key))}+${toBase64(concat(Uint8Array.of(ED25519), key))}`;

/** What signs in somebody's name, as long as the page needs it; no recording opens with it. */
export class SigningKey {
  readonly #seed: Uint8Array;

  constructor(identity: string) {
    this.#seed = seed(identity);
  }

  /** The public half under the pseudonym `name`, as the directory of people has it. */
  public(name: string): string {
    return spell(name, ed25519.getPublicKey(this.#seed));
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

/** The point on the curve in a public key of that one spelling; `null` where it is none. */
function pointOf(key: string): Uint8Array | null {
  const bytes = base64(key.split("+").slice(2).join("+"));
  if (bytes?.length !== 33 || bytes[0] !== ED25519) return null;
  const point = bytes.subarray(1);
  try {
    // With a weak key one signature fits many texts.
    if (ed25519.Point.fromBytes(point).isSmallOrder()) return null;
  } catch {
    return null;
  }
  return spell(nameOf(key), point) === key ? point : null;
}

/** Whether `key` is a public key that somebody signs with. */
export const isKey = (key: unknown): key is string => typeof key === "string" && pointOf(key) !== null;

/** What the note says that is of `kind`, whoever signed it; `null` where it is none. */
export function claimOf(note: string, kind: string): Record<string, unknown> | null {
  const [first, json, rest] = note.split("\n", 3);
  if (first !== kind || json === undefined || rest === undefined) return null;
  try {
    const claim: unknown = JSON.parse(json);
    return isObject(claim) ? claim : null;
  } catch {
    return null;
  }
}

type Verdict = "holds" | "altered" | "not";

/**
 * Whether one of `keys` signed `note`, in the name of `by`. Where a signature names one of them and does
 * not hold, the note was altered.
 */
export function checkNote(note: string, by: string, keys: readonly string[]): Verdict {
  let found: Verdict = "not";
  for (const key of keys) {
    const verdict = signedBy(note, key);
    if (verdict === "holds" && nameOf(key) === by) return "holds";
    if (verdict === "altered") found = "altered";
  }
  return found;
}

/** Whether `key` signed `note`. Others may have signed it too, but there is nothing else below the text. */
function signedBy(note: string, key: string): Verdict {
  const point = pointOf(key);
  const end = note.lastIndexOf("\n\n") + 1;
  const [text, signatures] = [note.slice(0, end), note.slice(end + 1)];
  if (!point || end === 0 || /[^\P{Cc}\n]/u.test(text) || !signatures.endsWith("\n")) return "not";
  const id = keyId(nameOf(key), point);
  let found: Verdict = "not";
  for (const line of signatures.slice(0, -1).split("\n")) {
    const [, name, data = ""] = line.match(/^\u2014 ([^ ]*) (.*)$/s) ?? [];
    const signature = base64(data);
    if (!signature || signature.length < KEY_ID_BYTES) return "not";
    const [hint, rest] = [signature.subarray(0, KEY_ID_BYTES), signature.subarray(KEY_ID_BYTES)];
    if (name !== nameOf(key) || !same(hint, id)) continue;
    if (found === "holds" || rest.length !== 64 || !holds(rest, utf8(text), point)) return "altered";
    found = "holds";
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
