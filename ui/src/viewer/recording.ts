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

/** A recording and its key, until it is closed. */
export class Opened {
  #key: string | null;
  /** Fingerprint of the key that opened it, the only name that nobody can make up. */
  readonly #viewer: string;

  private constructor(
    readonly checked: Checked,
    key: string,
    viewer: string,
    readonly details: Details,
    readonly notes: readonly Note[],
  ) {
    this.#key = key;
    this.#viewer = viewer;
  }

  /** Unwraps the recording's key with a person's keys: from `key.age`, else from a grant. */
  static async open(checked: Checked, person: readonly string[]): Promise<Opened> {
    const key = await unwrap(checked, person);
    const { recipients } = checked.manifest;
    const [details, notes, publics] = await Promise.all([
      openDetails(checked, key),
      readNotes(checked, person),
      Promise.all(person.map(publicHalf)),
    ]);
    const own = publics.find((one) => recipients.includes(one)) ?? publics[0] ?? "";
    return new Opened(checked, key, await fingerprint(own), details, notes);
  }

  get manifest(): Manifest {
    return this.checked.manifest;
  }

  get viewer(): string {
    return this.#viewer;
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

  /** Drops the key. Nothing can be decrypted any more. */
  close(): void {
    this.#key = null;
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

async function unwrap(checked: Checked, person: readonly string[]): Promise<string> {
  const { source, manifest } = checked;
  if (source.wrappedKey) {
    const key = recordingKey(await decrypt(person, await source.wrappedKey()));
    return key ?? refuse({ code: "wrong-key" });
  }
  const names = await source.list();
  // Where access came by a grant, the holder may have been given a folder without `key.age`.
  if (names.includes(KEY)) {
    const key = recordingKey(await decrypt(person, await readListed(source, KEY, manifest.key)));
    if (key !== null) return key;
  }
  for (const name of names) {
    if (!/^grants\/[^/]+\.key\.age$/.test(name)) continue;
    const key = recordingKey(await decrypt(person, await source.read(name, KEY_LIMIT)));
    if (key !== null) return key;
  }
  return refuse(names.some((name) => name === KEY || name.startsWith("grants/"))
    ? { code: "wrong-key" }
    : { code: "missing", file: KEY });
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
