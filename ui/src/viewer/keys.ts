/**
 * Keys of people. A key that was read lives in one variable and is dropped with it; it goes into no
 * storage of the browser and no request.
 */

import { armor, Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";

import { type Bytes, sha256, text, utf8 } from "./bytes";
import { openWith } from "./passphrase";
import { Refused, refuse } from "./refused";

const MAGIC = "age-encryption.org/v1\n";
const ARMOR = "-----BEGIN AGE ENCRYPTED FILE-----";
/** Identity files hold a handful of lines. */
export const IDENTITY_LIMIT = 1 << 20;

/** Whether an identity file is itself under a passphrase. */
export function isLocked(file: Uint8Array): boolean {
  const start = new TextDecoder("latin1").decode(file.subarray(0, 64)).trimStart();
  return start.startsWith(MAGIC) || start.startsWith(ARMOR);
}

/** The secret keys in an identity file, which `passphrase` opens where it is locked. */
export async function readIdentities(file: Uint8Array, passphrase: string): Promise<string[]> {
  if (!isLocked(file)) return parseIdentities(file);
  if (passphrase === "") return refuse({ code: "passphrase-needed" });
  const start = new TextDecoder("latin1").decode(file.subarray(0, 64)).trimStart();
  let plain: Uint8Array;
  try {
    const sealed = start.startsWith(ARMOR) ? armor.decode(text(file).trim()) : file;
    plain = await openWith(passphrase, sealed);
  } catch {
    return refuse({ code: "wrong-passphrase" });
  }
  return parseIdentities(plain);
}

/** One secret key a line, `#` begins a comment, as `age-keygen` writes it. */
export function parseIdentities(file: Uint8Array): string[] {
  let lines: string[];
  try {
    lines = text(file).split(/\r?\n/);
  } catch {
    return refuse({ code: "bad-identity" });
  }
  const keys = lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  if (keys.length === 0 || !keys.every((key) => /^AGE-SECRET-KEY-1[0-9A-Z]{58}$/.test(key))) {
    return refuse({ code: "bad-identity" });
  }
  try {
    // A letter that is wrong: said here, as what others say of it has the whole key in it.
    const decrypter = new Decrypter();
    for (const key of keys) decrypter.addIdentity(key);
  } catch {
    return refuse({ code: "bad-identity" });
  }
  return keys;
}

/** Decrypts an age file with any of `keys`; `null` where it is not encrypted to one of them. */
export async function decrypt(keys: readonly string[], sealed: Uint8Array): Promise<Bytes | null> {
  const decrypter = new Decrypter();
  try {
    for (const key of keys) decrypter.addIdentity(key);
    return (await decrypter.decrypt(sealed)) as Bytes;
  } catch (error) {
    if (error instanceof Refused) throw error;
    return null;
  }
}

/** Encrypts `plain` to the public half of `key`. */
export async function encryptTo(key: string, plain: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(key));
  return encrypter.encrypt(plain);
}

/** Encrypts `plain` to public keys. */
export async function wrapFor(recipients: readonly string[], plain: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  return encrypter.encrypt(plain);
}

/** The public half of a secret key. */
export const publicHalf = (key: string): Promise<string> => identityToRecipient(key);

/** A public key's fingerprint as people compare it: `printf %s age1... | sha256sum`, 32 digits. */
export const fingerprint = async (recipient: string): Promise<string> =>
  (await sha256(utf8(recipient))).slice(0, 32);

/** A new key pair; the secret half only as a file under `passphrase`, which any `age` opens. */
export async function makeKey(
  passphrase: string,
  created: Date,
): Promise<{ recipient: string; file: string }> {
  // The kind of key that the box takes; the library's default may become another.
  const key = await generateX25519Identity();
  const recipient = await identityToRecipient(key);
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  const when = created.toISOString().replace(/\.\d+/, "");
  const plain = `# created: ${when}\n# public key: ${recipient}\n${key}\n`;
  return { recipient, file: armor.encode(await encrypter.encrypt(plain)) };
}
