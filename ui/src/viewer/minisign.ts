/**
 * Signatures as minisign writes them: Ed25519 over the BLAKE2b-512 digest of the file, and once
 * more over that signature and the trusted comment.
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { blake2b } from "@noble/hashes/blake2.js";

import { base64, same, utf8 } from "./bytes";

const ID_BYTES = 8;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** A public key of a box. */
export interface BoxKey {
  /** As the manifest and the second line of a `.pub` file have it. */
  readonly text: string;
  /** As minisign shows it: 16 hexadecimal digits. */
  readonly id: string;
  readonly keynum: Uint8Array;
  readonly key: Uint8Array;
}

/** Reads the key in `text`, a `.pub` file or its second line alone; `null` if it is none. */
export function boxKey(text: string): BoxKey | null {
  const lines = text.split(/\r?\n/).filter((line) => line && !line.startsWith("untrusted"));
  const line = lines[0]?.trim() ?? "";
  const bytes = base64(line);
  if (lines.length !== 1 || bytes?.length !== 2 + ID_BYTES + KEY_BYTES) return null;
  if (bytes[0] !== 0x45 || bytes[1] !== 0x64) return null; // "Ed", the only kind there is
  const keynum = bytes.subarray(2, 2 + ID_BYTES);
  return { text: line, id: keyId(keynum), keynum, key: bytes.subarray(2 + ID_BYTES) };
}

/** minisign prints the id as a little-endian number. */
function keyId(keynum: Uint8Array): string {
  return Array.from(keynum)
    .reverse()
    .map((byte) => byte.toString(16).toUpperCase().padStart(2, "0"))
    .join("");
}

/** A `.minisig` file, taken apart. */
export interface Signature {
  readonly signer: string;
  readonly keynum: Uint8Array;
  readonly untrusted: string;
  readonly trusted: string;
  readonly signature: Uint8Array;
  readonly global: Uint8Array;
}

/** Takes a signature file apart; `null` unless it is spelled as the box spells it. */
export function signature(text: string): Signature | null {
  const lines = text.split("\n");
  const [first, second, third, fourth, end] = lines;
  if (lines.length !== 5 || end !== "") return null;
  const untrusted = first?.match(/^untrusted comment: (.*)$/)?.[1];
  const trusted = third?.match(/^trusted comment: (.*)$/)?.[1];
  const own = base64(second ?? "");
  const global = base64(fourth ?? "");
  if (untrusted === undefined || trusted === undefined) return null;
  if (own?.length !== 2 + ID_BYTES + SIGNATURE_BYTES || global?.length !== SIGNATURE_BYTES) return null;
  if (own[0] !== 0x45 || own[1] !== 0x44) return null; // "ED", prehashed
  const keynum = own.subarray(2, 2 + ID_BYTES);
  return {
    signer: keyId(keynum),
    keynum,
    untrusted,
    trusted,
    signature: own.subarray(2 + ID_BYTES),
    global,
  };
}

/**
 * Whether `found` is `key`'s signature over `bytes`. The comment that no signature covers must be
 * the box's own too, so that no bit of the file can change unnoticed.
 */
export function verify(key: BoxKey, bytes: Uint8Array, found: Signature): boolean {
  if (!same(key.keynum, found.keynum)) return false;
  if (found.untrusted !== `classveil recording, box key ${key.id}`) return false;
  const over = (what: Uint8Array, by: Uint8Array): boolean => {
    try {
      return ed25519.verify(by, what, key.key, { zip215: false });
    } catch {
      return false;
    }
  };
  const trusted = utf8(found.trusted);
  const both = new Uint8Array(SIGNATURE_BYTES + trusted.length);
  both.set(found.signature);
  both.set(trusted, SIGNATURE_BYTES);
  return over(blake2b(bytes), found.signature) && over(both, found.global);
}
