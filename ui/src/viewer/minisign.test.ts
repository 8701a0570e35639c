import { ed25519 } from "@noble/curves/ed25519.js";
import { blake2b } from "@noble/hashes/blake2.js";
import { describe, expect, it } from "vitest";

import { utf8 } from "./bytes";
import { boxKey, signature, verify } from "./minisign";

const encode = (...parts: Uint8Array[]): string => Buffer.concat(parts).toString("base64");

/** A key and a signature, made as minisign's documentation describes them. */
function signed(bytes: Uint8Array) {
  const secret = new Uint8Array(32).fill(7);
  const keynum = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 0xab]);
  const key = boxKey(encode(utf8("Ed"), keynum, ed25519.getPublicKey(secret)))!;
  const trusted = "classveil recording X sealed";
  const own = ed25519.sign(blake2b(bytes), secret);
  const global = ed25519.sign(Buffer.concat([own, utf8(trusted)]), secret);
  const file = [
    `untrusted comment: classveil recording, box key ${key.id}`,
    encode(utf8("ED"), keynum, own),
    `trusted comment: ${trusted}`,
    encode(global),
    "",
  ].join("\n");
  return { key, file };
}

describe("minisign", () => {
  const bytes = utf8("a manifest");
  const { key, file } = signed(bytes);

  it("shows the key's id as minisign does", () => {
    expect(key.id).toBe("AB07060504030201");
    expect(boxKey(`untrusted comment: x\n${key.text}\n`)?.text).toBe(key.text);
    for (const bad of ["", "RWQ", `${key.text}A`, key.text.replace("RW", "RX"), `${key.text}\n${key.text}`]) {
      expect(boxKey(bad), bad).toBeNull();
    }
  });

  it("accepts the whole file and no other", () => {
    expect(verify(key, bytes, signature(file)!)).toBe(true);
    expect(verify(key, utf8("a Manifest"), signature(file)!)).toBe(false);
    const raw = utf8(file);
    for (let at = 0; at < raw.length; at += 1) {
      for (const bit of [1, 4, 32]) {
        const altered = raw.slice();
        altered[at]! ^= bit;
        const found = signature(new TextDecoder().decode(altered));
        expect(found !== null && verify(key, bytes, found), `byte ${at}`).toBe(false);
      }
    }
    expect(signature(`${file}\n`)).toBeNull();
    expect(signature(file.slice(0, -1))).toBeNull();
  });
});
