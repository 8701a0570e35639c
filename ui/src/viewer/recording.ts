/**
 * A recording as a key holder sees it: first checked, then opened. Nothing is handed on that was
 * not compared with the signed manifest before, and nothing decrypted is kept here.
 */

import { type Bytes, sha256, text } from "./bytes";
import { checkJournal } from "./journal";
import { decrypt, encryptTo, fingerprint, publicHalf } from "./keys";
import {
  DETAILS,
  JOURNAL,
  KEY,
  MANIFEST,
  SIGNATURE,
  readManifest,
  videoFile,
  type FileDigest,
  type Manifest,
  type Segment,
} from "./manifest";
import { signature, verify, type BoxKey } from "./minisign";
import { refuse } from "./refused";
import { SigningKey } from "./sign";
import { grantOf, personOf } from "./signers";
import type { Source } from "./source";

/** As in `classveil verify`. */
const MANIFEST_LIMIT = 256 << 20;
const SIGNATURE_LIMIT = 4096;
const KEY_LIMIT = 1 << 20;
const NOTE_LIMIT = 1 << 20;

/** A recording whose manifest, signature and journal fit, and of which no file is missing. */
export interface Checked {
  readonly source: Source;
  readonly manifest: Manifest;
  readonly signer: BoxKey;
  /** Whether the box's key came another way than the recording. */
  readonly pinned: boolean;
}

/** What only key holders may read. */
export interface Details {
  readonly names: Readonly<Record<string, string>>;
  readonly question: string | null;
  readonly notes: readonly string[];
  readonly waivers: readonly string[];
}

/** A note of somebody who was recorded. */
export interface Note {
  readonly by: string;
  readonly added: string;
  readonly text: string;
}

/** Checks signature, chain, and that every file is there in its full length. */
export async function check(source: Source, pinned: BoxKey | null): Promise<Checked> {
  const names = new Set(await source.list());
  const [bytes, signed] = [
    await source.read(MANIFEST, MANIFEST_LIMIT),
    await source.read(SIGNATURE, SIGNATURE_LIMIT),
  ];
  const { manifest, signer } = readManifest(bytes, signed, pinned);
  await checkJournal(await source.read(JOURNAL, MANIFEST_LIMIT), manifest);
  const files: [string, FileDigest][] = [
    [DETAILS, manifest.details],
    ...manifest.segments.map((segment): [string, FileDigest] => [videoFile(segment), segment.video]),
  ];
  for (const [file, listed] of files) {
    if (!names.has(file)) refuse({ code: "missing", file });
    const bytes = source.size(file);
    if (bytes !== null && bytes !== listed.bytes) {
      refuse({ code: "length", file, bytes, expected: listed.bytes });
    }
  }
  return { source, manifest, signer, pinned: pinned !== null };
}

/** Reads a file that the manifest lists; these very bytes are the listed ones. */
async function readListed(source: Source, file: string, listed: FileDigest): Promise<Bytes> {
  const bytes = await source.read(file, listed.bytes);
  if (bytes.length !== listed.bytes) {
    return refuse({ code: "length", file, bytes: bytes.length, expected: listed.bytes });
  }
  return (await sha256(bytes)) === listed.sha256 ? bytes : refuse({ code: "altered", file });
}

/** What opens a recording, and what came with it. */
interface Unwrapped {
  readonly key: string;
  /** The person's key that it was encrypted to. */
  readonly identity: string;
  /** The statement of the grant that it came by, which nobody checked yet. */
  readonly grant: string | null;
}

/** Who looks, as far as the recording says. */
export interface Viewer {
  /** Fingerprint of the key that opened it, the only name that nobody can make up. */
  readonly fingerprint: string;
  /** The pseudonym that the recording, or a grant by its teacher, gives that key; `null` for none. */
  readonly person: string | null;
  /** The teacher's statement that gave them access, where there is one that counts. */
  readonly grant: string | null;
}

/** A recording and its key, until it is closed. */
export class Opened {
  #key: string | null;
  #signing: SigningKey | null;

  private constructor(
    readonly checked: Checked,
    key: string,
    signing: SigningKey,
    readonly viewer: Viewer,
    readonly details: Details,
    readonly notes: readonly Note[],
  ) {
    this.#key = key;
    this.#signing = signing;
  }

  /** Unwraps the recording's key with a person's keys: from `key.age`, else from a grant. */
  static async open(checked: Checked, person: readonly string[]): Promise<Opened> {
    const { key, identity, grant } = await unwrap(checked, person);
    const [details, notes, own] = await Promise.all([
      openDetails(checked, key),
      readNotes(checked, person),
      publicHalf(identity).then(fingerprint),
    ]);
    const signing = new SigningKey(identity);
    const { manifest } = checked;
    const granted = grantOf(grant, manifest);
    const who = personOf((name) => signing.public(name), granted, manifest);
    const viewer = { fingerprint: own, person: who, grant: granted?.person === who ? grant : null };
    return new Opened(checked, key, signing, viewer, details, notes);
  }

  get manifest(): Manifest {
    return this.checked.manifest;
  }

  /** Who somebody is, as far as the recording itself says: the name beside the pseudonym. */
  named(person: string): string {
    const name = this.details.names[person];
    return name === undefined ? person : `${name} (${person})`;
  }

  get isClosed(): boolean {
    return this.#key === null;
  }

  /** A segment's MP4, checked and decrypted. */
  async segment(segment: Segment): Promise<Bytes> {
    const file = videoFile(segment);
    const sealed = await readListed(this.checked.source, file, segment.video);
    const key = this.#need();
    return (await decrypt([key], sealed)) ?? refuse({ code: "not-sealed-to-key", file });
  }

  /** Encrypts a text under the recording's key, so that it dies with the recording. */
  async seal(plain: string): Promise<Uint8Array> {
    return encryptTo(this.#need(), plain);
  }

  /** Opens what [`seal`](seal) made; `null` where it is of another recording. */
  async unseal(sealed: Uint8Array): Promise<string | null> {
    const plain = await decrypt([this.#need()], sealed);
    return plain === null ? null : text(plain);
  }

  /** Signs what the viewer says of the recording, as `person`. */
  sign(person: string, kind: string, claim: object): string {
    return (this.#signing ?? refuse({ code: "wrong-key" })).sign(person, kind, claim);
  }

  /** The public half of what [`sign`](sign) signs with. */
  public(person: string): string {
    return (this.#signing ?? refuse({ code: "wrong-key" })).public(person);
  }

  /** Drops the keys. Nothing can be decrypted or signed any more. */
  close(): void {
    this.#key = null;
    this.#signing = null;
  }

  #need(): string {
    return this.#key ?? refuse({ code: "wrong-key" });
  }
}

/** The recording's key as `key.age` has it, for its teacher; nothing else of it is fetched. */
export async function teachersKey(checked: Checked, person: readonly string[]): Promise<string> {
  const { source, manifest } = checked;
  const sealed = await (source.wrappedKey?.() ?? source.read(KEY, KEY_LIMIT));
  if ((await sha256(sealed)) !== manifest.key.sha256) return refuse({ code: "altered", file: KEY });
  return recordingKey(await decrypt(person, sealed)) ?? refuse({ code: "wrong-key" });
}

async function unwrap(checked: Checked, person: readonly string[]): Promise<Unwrapped> {
  const { source, manifest } = checked;
  if (source.wrappedKey) {
    const found = await unwrapOne(await source.wrappedKey(), person);
    return found
      ? { ...found, grant: (await source.grant?.()) ?? null }
      : refuse({ code: "wrong-key" });
  }
  const names = await source.list();
  // Where access came by a grant, the holder may have been given a folder without `key.age`.
  if (names.includes(KEY)) {
    const found = await unwrapOne(await readListed(source, KEY, manifest.key), person);
    if (found) return { ...found, grant: null };
  }
  for (const name of names) {
    const granted = name.match(/^(grants\/[^/]+)\.key\.age$/)?.[1];
    if (granted === undefined) continue;
    const found = await unwrapOne(await source.read(name, KEY_LIMIT), person);
    if (!found) continue;
    const statement = `${granted}.grant`;
    const grant = names.includes(statement) ? text(await source.read(statement, KEY_LIMIT)) : null;
    return { ...found, grant };
  }
  return refuse(names.some((name) => name === KEY || name.startsWith("grants/"))
    ? { code: "wrong-key" }
    : { code: "missing", file: KEY });
}

async function unwrapOne(
  sealed: Uint8Array,
  person: readonly string[],
): Promise<{ key: string; identity: string } | null> {
  for (const identity of person) {
    const key = recordingKey(await decrypt([identity], sealed));
    if (key !== null) return { key, identity };
  }
  return null;
}

function recordingKey(plain: Uint8Array | null): string | null {
  const line = plain === null ? undefined : text(plain).match(/^AGE-SECRET-KEY-1[0-9A-Z]{58}$/m)?.[0];
  return line ?? null;
}

async function openDetails({ source, manifest }: Checked, key: string): Promise<Details> {
  const plain = await decrypt([key], await readListed(source, DETAILS, manifest.details));
  return plain === null ? refuse({ code: "not-sealed-to-key", file: DETAILS }) : readDetails(plain);
}

function readDetails(plain: Uint8Array): Details {
  try {
    const found = JSON.parse(text(plain)) as Partial<Details> | null;
    return {
      names: found?.names ?? {},
      question: found?.question ?? null,
      notes: found?.notes ?? [],
      waivers: found?.waivers ?? [],
    };
  } catch {
    return refuse({ code: "format" });
  }
}

/** Notes that the box signed and that the person can read. One that nobody signed is damage. */
async function readNotes(checked: Checked, person: readonly string[]): Promise<Note[]> {
  const { source, signer } = checked;
  const names = (await source.list()).filter((name) => /^notes\/\d{6}\.age$/.test(name)).sort();
  const notes: Note[] = [];
  for (const name of names) {
    const sealed = await source.read(name, NOTE_LIMIT);
    const file = `${name}.minisig`;
    const signed = signature(text(await source.read(file, SIGNATURE_LIMIT)));
    if (!signed || !verify(signer, sealed, signed)) return refuse({ code: "signature", file });
    const plain = await decrypt(person, sealed);
    if (plain === null) continue;
    const note = JSON.parse(text(plain)) as Partial<Note>;
    notes.push({ by: note.by ?? "", added: note.added ?? "", text: note.text ?? "" });
  }
  return notes;
}
