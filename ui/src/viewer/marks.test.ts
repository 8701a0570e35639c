import { generateX25519Identity } from "age-encryption";
import { describe, expect, it } from "vitest";

import { text } from "./bytes";
import { decrypt, encryptTo } from "./keys";
import type { Manifest } from "./manifest";
import { fragments, unsealMarks, type Made, type Readable } from "./marks";
import { publicKey, signGrant, SigningKey } from "./sign";

it("writes times as `classveil export --fragments` reads them", () => {
  const mark = (from_ms: number, to_ms: number) => ({ camera: "cam1", from_ms, to_ms, note: "secret" });
  expect(fragments([mark(130_000, 225_500), mark(0, 61_001), mark(3_723_000, 3_780_000)])).toBe(
    "00:00.000 01:01.001\n02:10.000 03:45.500\n1:02:03.000 1:03:00.000\n",
  );
});

describe("marks of people", async () => {
  const [own, coach, viewer, teacher] = await Promise.all(
    [0, 1, 2, 3].map(() => generateX25519Identity()),
  ) as [string, string, string, string];
  const [recording, before, other] = ["a", "b", "c"].map((c) => c.repeat(36)) as [string, string, string];
  const signers = [publicKey(teacher, "t-07"), publicKey(coach, "c-02")];
  const manifest = { recording, replaces: [before], teacher: "t-07", signers } as unknown as Manifest;
  const opened: Readable = {
    manifest,
    public: (name) => new SigningKey(coach).public(name),
    unseal: async (sealed) => {
      const plain = await decrypt([own], sealed);
      return plain === null ? null : text(plain);
    },
  };
  const marks = [{ camera: "cam1", from_ms: 1, to_ms: 2, note: "wie krijgt de beurt?\u0085" }];
  const claim = (by: string, more: object = {}) => ({ recording, at: "2026-11-01T08:00:00Z", marks, ...more, by });
  const note = (key: string, by: string, more: object = {}): string =>
    new SigningKey(key).sign(by, "classveil-marks/2", claim(by, more));
  const made = async (plain: string, person: string): Promise<Made> =>
    (await unsealMarks(opened, await encryptTo(own, plain), person)).made;
  const grant = (by: string, key: string, terms: object = {}): string =>
    signGrant(
      key,
      by,
      {
        recording,
        of: "00",
        person: "s-09",
        recipients: [],
        signers: [publicKey(viewer, "s-09")],
        from: "",
        until: "",
        ...terms,
      },
      { bytes: 0, sha256: "" },
    );

  it("are theirs where the signature holds", async () => {
    expect(await made(note(teacher, "t-07"), "t-07")).toBe("signed");
    expect(await made(note(coach, "c-02"), "c-02")).toBe("signed");
    expect(await made(note(coach, "c-02", { recording: before }), "c-02")).toBe("signed");
    expect(note(teacher, "t-07")).not.toContain("\u0085");
  });

  it("are nobody's where they were edited, copied, or put under another name", async () => {
    const mine = note(teacher, "t-07");
    expect(await made(mine.replace("beurt", "straf"), "t-07")).toBe("altered");
    expect(await made(mine, "c-02")).toBe("other-person");
    expect(await made(note(coach, "t-07"), "t-07")).toBe("not-theirs");
    expect(await made(note(teacher, "t-07", { recording: other }), "t-07")).toBe("other-recording");
    expect(await made(mine.replace("classveil-marks/2", "classveil-grant/1"), "t-07")).toBe("unreadable");
    expect(await made(mine.slice(0, mine.indexOf("\n\n") + 1), "t-07")).toBe("not-theirs");
    const plain = JSON.stringify({ format: "classveil-marks/1", recording, marks });
    expect(await made(plain, "t-07")).toBe("unsigned");
    const elsewhere = await encryptTo(teacher, mine);
    expect((await unsealMarks(opened, elsewhere, "t-07")).made).toBe("unreadable");
  });

  it("are one's own by the key that signed them, also where nobody else can tell", async () => {
    const bare: Readable = { ...opened, manifest: { ...manifest, signers: [] } };
    const read = async (plain: string, person: string) =>
      unsealMarks(bare, await encryptTo(own, plain), person);
    expect(await read(note(coach, "c-02"), "c-02")).toMatchObject({ made: "not-theirs", mine: true });
    expect(await read(note(teacher, "c-02"), "c-02")).toMatchObject({ mine: false });
    expect(await read(note(coach, "c-02"), "t-07")).toMatchObject({ mine: false });
    expect(await read(note(coach, "c-02", { recording: other }), "c-02")).toMatchObject({ mine: false });
  });

  it("are of who was granted access by the teacher's word alone", async () => {
    const by = (statement: string, key = viewer): Promise<Made> =>
      made(note(key, "s-09", { grant: statement }), "s-09");
    expect(await by(grant("t-07", teacher))).toBe("signed");
    expect(await by(grant("t-07", teacher), coach)).toBe("not-theirs");
    expect(await by(grant("c-02", coach))).toBe("not-theirs");
    expect(await by(grant("t-07", coach))).toBe("not-theirs");
    expect(await by(grant("t-07", teacher, { recording: other }))).toBe("not-theirs");
    expect(await by(grant("t-07", teacher, { person: "s-10" }))).toBe("not-theirs");
    expect(await by(grant("t-07", teacher).replace("s-09", "s-10"))).toBe("not-theirs");
  });
});
