import { ed25519 } from "@noble/curves/ed25519.js";
import { expect, it } from "vitest";

import { base64, hex, text, toBase64, utf8 } from "./bytes";
import { checkNote, publicKey, readChallenge, signAnswer, signGrant, SigningKey } from "./sign";

/** The identity of bytes 0 to 31, whose signing key `src/vault/sign.rs` names too. */
const KEY = "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG";
const PUBLIC = "dc88ebb2407ff7fafaa48695a78c571401198ccb1d4edf56e631fd8b0ca02d68";

it("derives the key that other programs derive", () => {
  const [name, id, data] = publicKey(KEY, "t-07").split("+", 3);
  expect(name).toBe("t-07");
  expect(id).toMatch(/^[0-9a-f]{8}$/);
  const bytes = base64(publicKey(KEY, "t-07").slice(`t-07+${id}+`.length))!;
  expect(data).toBeDefined();
  expect(bytes[0]).toBe(1);
  expect(hex(bytes.subarray(1))).toBe(PUBLIC);
});

it("signs the very text that it sends", () => {
  const terms = {
    recording: "0197c2a0-0000-7000-8000-000000000000",
    of: "00",
    person: "c-09",
    recipients: ["age1x"],
    signers: ["c-09+00000000+AA=="],
    from: "2026-11-01T08:00:00Z",
    until: "2026-11-20T08:00:00Z",
  };
  const note = signGrant(KEY, "t-07", terms, { bytes: 3, sha256: "ff" });
  const [kind, json, empty, line, end] = note.split("\n");
  expect([kind, empty, end]).toEqual(["classveil-grant/1", "", ""]);
  expect(JSON.parse(json!)).toEqual({ ...terms, key: { bytes: 3, sha256: "ff" }, by: "t-07" });
  const [dash, name, signature] = line!.split(" ");
  expect([dash, name]).toEqual(["\u2014", "t-07"]);
  const bytes = base64(signature!)!;
  const key = Uint8Array.from(PUBLIC.match(/../g)!, (two) => parseInt(two, 16));
  expect(hex(bytes.subarray(0, 4))).toBe(publicKey(KEY, "t-07").split("+")[1]);
  expect(ed25519.verify(bytes.subarray(4), utf8(`${kind}\n${json}\n`), key)).toBe(true);
});

it("answers a challenge, with an older key where there is one", () => {
  const opened =
    "classveil-challenge/1\nWhoever sends this\nperson: c-02\nrecipient: age1abc\nanswer: 00ff\n";
  expect(readChallenge(opened)).toEqual({ person: "c-02", recipient: "age1abc", answer: "00ff" });
  expect(readChallenge("person: c-02\nrecipient: age1abc\nanswer: 00ff\n")).toBeNull();
  const made = (older: string | null): { answer: string; change: string | null } =>
    JSON.parse(signAnswer(KEY, { by: "c-02", recipient: "age1abc", answer: "00ff", older }));
  expect(made(null).change).toBeNull();
  expect(made(null).answer).toContain('"answer":"00ff"');
  expect(made(KEY).change).toContain('classveil-key-change/1\n{"by":"c-02","new":"age1abc"}\n');
});

it("holds where every line after the text is a signature, and one's own is there once", () => {
  const key = publicKey(KEY, "t-07");
  const note = new SigningKey(KEY).sign("t-07", "classveil-word/1", { by: "t-07" });
  const line = note.split("\n\n")[1]!;
  const found = (it: string, keys = [key]) => checkNote(it, "t-07", keys);
  expect(found(note)).toBe("holds");
  expect(found(`${note}\u2014 w-01 AAAAAAAA\n`), "another's").toBe("holds");
  for (const junk of ["junk\n", "\n", "\u2014 w-01 ???\n", "\u2014 w-01\n", "\u2014 w-01 AAAA\n", "junk"]) {
    expect(found(note + junk), JSON.stringify(junk)).toBe("not");
  }
  expect(found(note.replace(/\n$/, "\r\n"))).toBe("not");
  expect(found(note + line), "twice").toBe("altered");
  const short = toBase64(base64(line.trim().split(" ")[2]!)!.subarray(0, 67));
  expect(found(note.replace(/\u2014.*/, `\u2014 t-07 ${short}`)), "too short").toBe("altered");
  expect(found(`\u0007${note}`), "a control character").toBe("not");
  expect(found(note, [key.replace(/\+[0-9a-f]{8}\+/, "+00000000+")]), "a key of another spelling").toBe("not");
});

it("reads a byte order mark as part of a text", () => {
  expect(text(utf8("\ufeffx"))).toBe("\ufeffx");
});
