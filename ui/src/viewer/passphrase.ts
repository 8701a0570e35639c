/**
 * Opens an age file that is under a passphrase, as `age-encryption` does, in half the time: scrypt is
 * made to be slow, and the script for it is slower than it has to be. Where the browser runs no
 * WebAssembly, the library's own does it.
 */

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { base64nopad } from "@scure/base";
import { Decrypter, type Identity, type Stanza } from "age-encryption";
import { scrypt } from "hash-wasm";

import { utf8 } from "./bytes";

const LABEL = "age-encryption.org/v1/scrypt";
const SALT_BYTES = 16;
/** A file key of 16 bytes with its tag. */
const BODY_BYTES = 32;
/** As in `age-encryption`: 1 GiB of memory. */
const MAX_LOG_N = 20;

/** Decrypts `sealed`; throws where it is no such file or the passphrase is another. */
export async function openWith(passphrase: string, sealed: Uint8Array): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  if (runsWebAssembly()) decrypter.addIdentity(new Quick(passphrase));
  else decrypter.addPassphrase(passphrase);
  return decrypter.decrypt(sealed);
}

/** Whether the browser and the page's policy let any run: here the shortest, which does nothing. */
function runsWebAssembly(): boolean {
  try {
    return new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)) !== null;
  } catch {
    return false;
  }
}

class Quick implements Identity {
  constructor(private readonly passphrase: string) {}

  async unwrapFileKey(stanzas: Stanza[]): Promise<Uint8Array | null> {
    const [stanza] = stanzas;
    const [kind, salt, work] = stanza?.args ?? [];
    if (!stanza || stanzas.length !== 1 || kind !== "scrypt" || stanza.args.length !== 3) return null;
    if (!/^[1-9][0-9]?$/.test(work ?? "") || Number(work) > MAX_LOG_N) return null;
    const salted = base64nopad.decode(salt ?? "");
    if (salted.length !== SALT_BYTES || stanza.body.length !== BODY_BYTES) return null;
    const key = await scrypt({
      password: utf8(this.passphrase),
      salt: Uint8Array.from([...utf8(LABEL), ...salted]),
      costFactor: 2 ** Number(work),
      blockSize: 8,
      parallelism: 1,
      hashLength: 32,
      outputType: "binary",
    });
    try {
      return chacha20poly1305(key, new Uint8Array(12)).decrypt(stanza.body);
    } catch {
      return null;
    }
  }
}
