import { generateX25519Identity } from "age-encryption";
import { describe, expect, it } from "vitest";

import { text } from "./bytes";
import { decrypt, encryptTo } from "./keys";
import type { Manifest } from "./manifest";
import { fragments, isAnybodys, isOwn, unsealMarks, type Made, type Readable } from "./marks";
import { publicKey, signGrant, SigningKey } from "./sign";
import { grantOf, personOf } from "./signers";

it("writes times as `classveil export --fragments` reads them", () => {
  const mark = (from_ms: number, to_ms: number) => ({ camera: "cam1", from_ms, to_ms, note: "secret" });
  expect(fragments([mark(130_000, 225_500), mark(0, 61_001), mark(3_723_000, 3_780_000)])).toBe(
    "00:00.000 01:01.001\n02:10.000 03:45.500\n1:02:03.000 1:03:00.000\n",
  );
});

describe("marks of people", async () => {
  const [own, coach, viewer, teacher, another] = await Promise.all(
    [0, 1, 2, 3, 4].map(() => generateX25519Identity()),
  ) as [string, string, string, string, string];
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
        of: "0".repeat(64),
        person: "s-09",
        recipients: [],
        signers: [publicKey(viewer, "s-09")],
        from: "2026-11-01T08:00:00Z",
        until: "2026-11-20T08:00:00Z",
        ...terms,
      },
      { bytes: 0, sha256: "0".repeat(64) },
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

  it("of whom the recording names a key are signed with that, whatever a grant says", async () => {
    const terms = { person: "c-02", signers: [publicKey(another, "c-02")] };
    const by = (key: string): Promise<Made> =>
      made(note(key, "c-02", { grant: grant("t-07", teacher, terms) }), "c-02");
    expect(await by(coach)).toBe("signed");
    expect(await by(another)).toBe("not-theirs");
  });

  it("say whether the recording or the teacher's grant says whose key it is", async () => {
    const read = async (plain: string, person: string) => unsealMarks(opened, await encryptTo(own, plain), person);
    const granted = note(viewer, "s-09", { grant: grant("t-07", teacher) });
    expect(await read(granted, "s-09")).toMatchObject({ made: "signed", byGrant: true });
    expect(await read(note(coach, "c-02"), "c-02")).toMatchObject({ made: "signed", byGrant: false });
    const copied = note(coach, "c-02", { grant: grant("t-07", teacher) });
    expect(await read(copied, "c-02")).toMatchObject({ made: "signed", byGrant: false });
  });

  it("are nobody's where they are not written as `classveil marks` reads them", async () => {
    const mark = { camera: "cam1", from_ms: 1, to_ms: 2, note: "" };
    const bad: object[] = [
      { at: undefined },
      { at: "yesterday" },
      { more: 1 },
      { grant: 1 },
      { marks: [{ ...mark, from_ms: -1 }] },
      { marks: [{ ...mark, to_ms: -1 }] },
      { marks: [{ ...mark, more: 1 }] },
      { marks: [{ ...mark, camera: "../cam1" }] },
      { recording: "x" },
    ];
    for (const more of bad) {
      expect(await made(note(coach, "c-02", more), "c-02"), JSON.stringify(more)).toBe("unreadable");
    }
    expect(await made(note(coach, "C_02"), "c-02")).toBe("unreadable");
    expect(await made(note(coach, "c-02", { grant: null }), "c-02")).toBe("signed");
    expect(await made(`\ufeff${note(coach, "c-02")}`, "c-02")).toBe("unreadable");
    expect(await made(note(coach, "c-02").split("\n\n")[0]!, "c-02")).toBe("unreadable");
    const plain = { format: "classveil-marks/1", recording, marks };
    expect(await made(JSON.stringify(plain), "c-02")).toBe("unsigned");
    expect(await made(`\ufeff${JSON.stringify(plain)}`, "c-02")).toBe("unreadable");
    expect(await made(JSON.stringify({ ...plain, more: 1 }), "c-02")).toBe("unreadable");
    expect(await made(JSON.stringify({ ...plain, recording: 1 }), "c-02")).toBe("unreadable");
  });

  it("have no grant that is not written as `classveil` reads it", async () => {
    const by = (terms: object): Promise<Made> =>
      made(note(viewer, "s-09", { grant: grant("t-07", teacher, terms) }), "s-09");
    expect(await by({})).toBe("signed");
    expect(await by({ until: "for ever" })).toBe("not-theirs");
    expect(await by({ of: "00" })).toBe("not-theirs");
    const key = publicKey(viewer, "s-09");
    expect(await by({ signers: [key, "s-09+00000000+AA=="] })).toBe("not-theirs");
    expect(await by({ signers: [key.replace(/\+[0-9a-f]{8}\+/, "+00000000+")] })).toBe("not-theirs");
    const claim = JSON.parse(grant("t-07", teacher).split("\n")[1]!) as object;
    const more = new SigningKey(teacher).sign("t-07", "classveil-grant/1", { ...claim, more: 1 });
    expect(await made(note(viewer, "s-09", { grant: more }), "s-09")).toBe("not-theirs");
  });

  it("of another recording are never taken over as one's own", async () => {
    const bare: Readable = { ...opened, manifest: { ...manifest, signers: [] } };
    const plain = (of: string) => JSON.stringify({ format: "classveil-marks/1", recording: of, marks });
    const read = async (it: Readable, file: string) => unsealMarks(it, await encryptTo(own, file), "c-02");
    for (const file of [plain(other), note(coach, "c-02", { recording: other })]) {
      for (const it of [opened, bare]) {
        const kept = await read(it, file);
        expect(kept.made).toBe("other-recording");
        expect(isOwn(it.manifest, kept, "c-02")).toBe(false);
        expect(isAnybodys(it.manifest, kept)).toBe(false);
      }
    }
    // Of this one they are, where nobody can tell whose any marks are.
    expect(isOwn(bare.manifest, await read(bare, plain(recording)), "c-02")).toBe(true);
    expect(isOwn(bare.manifest, await read(bare, plain(recording)), "t-07")).toBe(false);
    expect(isOwn(manifest, await read(opened, plain(recording)), "c-02")).toBe(false);
    expect(isOwn(manifest, await read(opened, note(coach, "c-02")), "c-02")).toBe(true);
  });

  it("are signed in the name that the recording or a grant that counts gives the key", () => {
    const who = (key: string, statement: string | null, of = manifest): string | null =>
      personOf((name) => publicKey(key, name), grantOf(statement, of), of);
    expect(who(coach, null)).toBe("c-02");
    expect(who(viewer, null)).toBeNull();
    expect(who(viewer, grant("t-07", teacher))).toBe("s-09");
    expect(who(coach, grant("t-07", teacher))).toBe("c-02");
    for (const bad of [
      grant("t-07", coach),
      grant("c-02", coach),
      grant("t-07", teacher, { recording: other }),
      grant("t-07", teacher, { person: "s-10" }),
      grant("t-07", teacher).replace("2026-11-20", "2027-11-20"),
      "made up",
    ]) {
      expect(who(viewer, bad), bad).toBeNull();
    }
    const made = { person: "c-02", signers: [publicKey(another, "c-02")] };
    expect(who(another, grant("t-07", teacher, made))).toBeNull();
    expect(who(viewer, grant("t-07", teacher), { ...manifest, signers: [] })).toBeNull();
  });
});
