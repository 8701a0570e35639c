/** Bytes as text and back, and their digest. */

import { sha256 as sha256Slow } from "@noble/hashes/sha2.js";

/** Bytes of their own memory, as the browser's interfaces want them. */
export type Bytes = Uint8Array<ArrayBuffer>;

export const utf8 = (text: string): Bytes => new TextEncoder().encode(text) as Bytes;

/** The text of UTF-8 bytes, all of them: a byte order mark counts. Throws where they are none. */
export const text = (bytes: Uint8Array): string =>
  new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);

/** Decodes base64 in its one spelling; `null` for anything else. */
export function base64(textual: string): Bytes | null {
  let raw: string;
  try {
    raw = atob(textual);
  } catch {
    return null;
  }
  // `atob` overlooks white space and stray bits.
  return btoa(raw) === textual ? Uint8Array.from(raw, (c) => c.charCodeAt(0)) : null;
}

/** Base64 with its padding. */
export const toBase64 = (bytes: Uint8Array): string =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** SHA-256 in lower-case hexadecimal digits. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  // Outside a secure context there is no `subtle`; a page that was sent over plain HTTP still works.
  const subtle = globalThis.crypto?.subtle;
  return subtle
    ? hex(new Uint8Array(await subtle.digest("SHA-256", bytes as Bytes)))
    : hex(sha256Slow(bytes));
}

export const same = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, at) => byte === b[at]);
