import { armor, Decrypter, Encrypter } from "age-encryption";
import { describe, expect, it } from "vitest";

import { utf8 } from "./bytes";
import { decrypt, encryptTo, fingerprint, isLocked, makeKey, parseIdentities, readIdentities } from "./keys";
import { Refused } from "./refused";

const KEY = "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG";
const code = async (what: Promise<unknown>): Promise<string> =>
  what.then(
    () => "",
    (error: unknown) => (error instanceof Refused ? error.reason.code : String(error)),
  );

async function under(passphrase: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(10);
  return encrypter.encrypt(`# made today\n${KEY}\n`);
}

describe("key files", () => {
  it("reads what age-keygen writes, also with the line ends of Windows", () => {
    expect(parseIdentities(utf8(`# created: today\r\n\r\n${KEY}\r\n`))).toEqual([KEY]);
    for (const bad of ["", "# only words", "age1abc", `${KEY}X`, "\u0000"]) {
      expect(() => parseIdentities(utf8(bad)), bad).toThrow(Refused);
    }
  });

  it("opens one under a passphrase, binary or armoured", async () => {
    const binary = await under("secret words");
    const armoured = utf8(armor.encode(binary));
    for (const file of [binary, armoured]) {
      expect(isLocked(file)).toBe(true);
      expect(await readIdentities(file, "secret words")).toEqual([KEY]);
      expect(await code(readIdentities(file, "other words"))).toBe("wrong-passphrase");
      expect(await code(readIdentities(file, ""))).toBe("passphrase-needed");
    }
    expect(isLocked(utf8(KEY))).toBe(false);
  });

  it("opens one where WebAssembly does not run, and says what is wrong in the same words", async () => {
    const file = await under("secret words");
    const { Module } = WebAssembly;
    let asked = 0;
    WebAssembly.Module = class {
      constructor() {
        asked += 1;
        throw new WebAssembly.CompileError("refused by the page's policy");
      }
    } as unknown as typeof Module;
    try {
      expect(await readIdentities(file, "secret words")).toEqual([KEY]);
      expect(await code(readIdentities(file, "other words"))).toBe("wrong-passphrase");
      expect(asked).toBeGreaterThan(0);
    } finally {
      WebAssembly.Module = Module;
    }
  });

  it("takes no more work than memory holds", async () => {
    const text = new TextDecoder("latin1").decode(await under("secret words"));
    for (const work of ["21", "010", "1e1", "99"]) {
      const file = Uint8Array.from(text.replace(/ 10\n/, ` ${work}\n`), (c) => c.charCodeAt(0));
      expect(await code(readIdentities(file, "secret words")), work).toBe("wrong-passphrase");
    }
  });

  it("makes keys that only their passphrase opens", async () => {
    const made = await makeKey("secret words", new Date("2026-11-22T10:00:00Z"));
    expect(made.recipient).toMatch(/^age1[0-9a-z]{58}$/);
    expect(made.file).not.toContain("AGE-SECRET-KEY");
    const [key] = await readIdentities(utf8(made.file), "secret words");
    expect(await decrypt([key!], await encryptTo(key!, "a note"))).toEqual(utf8("a note"));
    expect(await decrypt([KEY], await encryptTo(key!, "a note"))).toBeNull();
    const decrypter = new Decrypter();
    decrypter.addPassphrase("secret words");
    const text = await decrypter.decrypt(armor.decode(made.file), "text");
    expect(text).toContain(`# created: 2026-11-22T10:00:00Z\n# public key: ${made.recipient}\n`);
  });

  it("gives the fingerprint that the box prints", async () => {
    // printf %s age1abc | sha256sum
    expect(await fingerprint("age1abc")).toBe("87a7f3079f95a7fcfdf1b17f3c952744");
  });
});
