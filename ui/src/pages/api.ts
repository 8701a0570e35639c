/** The box's interface, `/api/v1`: what is asked, what comes back, and what went wrong. */

import { toBase64, type Bytes } from "../viewer/bytes";
import { refuse } from "../viewer/refused";
import type { Source } from "../viewer/source";

export type Role =
  | "coach"
  | "admin"
  | "teacher"
  | "operator"
  | "privacy-officer"
  | "manager"
  | "viewer";

export interface Session {
  readonly name: string;
  readonly role: Role;
  readonly person?: string | null;
  readonly csrf: string;
}

/** Why no recording can be made, and what to do about it. */
export interface Reason {
  readonly code: string;
  readonly sentence: string;
  readonly who: string;
  readonly settle: string;
}

export interface Lesson {
  readonly class: string | null;
  readonly teacher: string | null;
  readonly coach: string | null;
  readonly purpose: string;
  readonly planned_s: number;
  readonly openers: readonly Opener[];
  readonly ahead: readonly Ahead[];
  /** Why nobody can be named, where nobody can. */
  readonly openers_problem: string | null;
}

/** Somebody who will be able to open the recording. */
export interface Opener {
  readonly person: string | null;
  readonly role: string | null;
  readonly fingerprint: string;
  readonly confirmed: string | null;
  readonly since: string | null;
  /** The teacher's last recording was not made for this key. */
  readonly new: boolean;
}

/** A key that will count, and does not yet. */
export interface Ahead {
  readonly person: string;
  readonly role: string;
  readonly fingerprint: string;
  readonly from: string;
  readonly replaces: string | null;
}

export interface CameraAtWork {
  readonly camera: string;
  readonly frames_in: number;
  readonly frames_displaced: number;
  readonly frames_veiled_whole: number;
  readonly segments: number;
  readonly seconds: number;
}

export interface Status {
  readonly state:
    | "idle"
    | "prepared"
    | "arming"
    | "recording"
    | "stopping"
    | "sealed"
    | "sealed-with-fault";
  readonly lesson: Lesson | null;
  readonly recording_s: number | null;
  readonly left_s: number | null;
  /** It is nearly as long as a recording may be. */
  readonly ends_soon?: boolean;
  readonly fault: string | null;
  readonly cameras: readonly CameraAtWork[];
  readonly indicator: string;
  readonly button: string;
  readonly reasons: readonly Reason[] | null;
  readonly waivers: readonly string[];
  readonly software: string;
}

export interface Preflight {
  readonly ready: boolean;
  readonly reasons: readonly Reason[];
}

export interface RecordingRow {
  readonly id: string;
  readonly started: string;
  readonly seconds: number | null;
  readonly class: string | null;
  readonly teacher: string | null;
  readonly coach: string | null;
  readonly purpose: string;
  readonly delete_by: string;
  readonly state: string;
  readonly withheld: boolean;
  readonly cameras: readonly string[];
  readonly may_view: boolean;
}

export interface NewLesson {
  class: string | null;
  teacher: string;
  coach: string | null;
  question: string;
  purpose: string;
  planned_s: number;
}

/** What the box says went wrong (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly reasons: readonly Reason[] = [],
    readonly body: Record<string, unknown> = {},
  ) {
    super(detail);
    this.name = "Problem";
  }
}

/** Whoever is logged in; tells when that is over. */
export class Api {
  constructor(
    readonly session: Session,
    private readonly onLoggedOut: () => void,
  ) {}

  /** Under which pseudonym whoever is logged in acts. */
  get own(): string {
    return this.session.person ?? this.session.name;
  }

  get<T>(path: string): Promise<T> {
    return this.#ask<T>("GET", path);
  }

  post<T>(path: string, body: unknown = {}): Promise<T> {
    return this.#ask<T>("POST", path, JSON.stringify(body), "application/json");
  }

  upload<T>(path: string, file: Blob): Promise<T> {
    return this.#ask<T>("POST", path, file, "application/zip");
  }

  /** A pupil list in a zip. What is wrong with it comes back like an answer, whatever its status. */
  async uploadList<T>(path: string, file: Blob): Promise<T> {
    try {
      return await this.upload<T>(path, file);
    } catch (error) {
      if (error instanceof Problem && error.body["problems"] !== undefined) return error.body as T;
      throw error;
    }
  }

  async logOut(): Promise<void> {
    await this.#ask("DELETE", "session").catch(() => undefined);
    this.onLoggedOut();
  }

  async #ask<T>(method: string, path: string, body?: BodyInit, type?: string): Promise<T> {
    try {
      return await ask<T>(method, path, this.session.csrf, body, type);
    } catch (error) {
      if (error instanceof Problem && error.status === 401) this.onLoggedOut();
      throw error;
    }
  }
}

async function ask<T>(
  method: string,
  path: string,
  csrf: string | null,
  body?: BodyInit,
  type?: string,
): Promise<T> {
  const headers: Record<string, string> = {};
  if (csrf !== null && method !== "GET") headers["x-csrf-token"] = csrf;
  if (type !== undefined) headers["content-type"] = type;
  let response: Response;
  try {
    const options: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" };
    response = await fetch(`/api/v1/${path}`, body === undefined ? options : { ...options, body });
  } catch {
    throw new Problem(0, "unreachable", "");
  }
  const text = await response.text();
  let found: unknown = null;
  try {
    found = text === "" ? null : JSON.parse(text);
  } catch {
    // An answer that is no JSON comes from something between this page and the box.
    if (response.ok) throw new Problem(response.status, "unreadable", "");
  }
  if (!response.ok) {
    const body = (found ?? {}) as Record<string, unknown>;
    const { code, detail, title, reasons } = body;
    const said = typeof detail === "string" ? detail : typeof title === "string" ? title : "";
    const why = Array.isArray(reasons) ? (reasons as Reason[]) : [];
    throw new Problem(response.status, typeof code === "string" ? code : "", said, why, body);
  }
  return found as T;
}

/** Whoever the browser's cookie says is logged in. */
export const session = async (): Promise<Session | null> =>
  ask<Session>("GET", "session", null).catch((error: unknown) => {
    if (error instanceof Problem && error.status === 401) return null;
    throw error;
  });

export const logIn = (name: string, password: string): Promise<Session> =>
  ask<Session>("POST", "session", null, JSON.stringify({ name, password }), "application/json");

export const setUp = (code: string, name: string, password: string): Promise<unknown> =>
  ask("POST", "setup", null, JSON.stringify({ code, name, password }), "application/json");

/** Longest file of marks that the box keeps, in bytes. */
const MARKS_KEPT = 45 << 10;

/** A recording's encrypted files, handed out by the box to who may open them. */
export class BoxSource implements Source {
  #sizes: Map<string, number> | null = null;
  #grant: string | null = null;

  constructor(
    private readonly recording: string,
    private readonly api: Api,
  ) {}

  /** Encrypted under the recording's key before it comes here. */
  async keepMarks(sealed: Uint8Array): Promise<void> {
    const path = `recordings/${encodeURIComponent(this.recording)}/marks`;
    if (sealed.length > MARKS_KEPT) refuse({ code: "marks-long" });
    await this.api.post(path, { file: toBase64(sealed) }).catch(() => {
      refuse({ code: "marks-not-kept" });
    });
  }

  async list(): Promise<readonly string[]> {
    if (!this.#sizes) {
      const text = new TextDecoder().decode(await this.#fetch("files", Infinity, "files"));
      const { files, grant } = JSON.parse(text) as {
        files: { name: string; bytes: number }[];
        grant: string | null;
      };
      this.#grant = grant;
      this.#sizes = new Map(files.map(({ name, bytes }) => [name, bytes]));
    }
    return [...this.#sizes.keys()];
  }

  listAgain(): Promise<readonly string[]> {
    this.#sizes = null;
    return this.list();
  }

  async grant(): Promise<string | null> {
    await this.list();
    return this.#grant;
  }

  size(name: string): number | null {
    return this.#sizes?.get(name) ?? null;
  }

  read(name: string, limit: number): Promise<Bytes> {
    const path = name.split("/").map(encodeURIComponent).join("/");
    return this.#fetch(`files/${path}`, limit, name);
  }

  wrappedKey(): Promise<Bytes> {
    return this.#fetch("key", 1 << 20, "key.age");
  }

  async #fetch(path: string, limit: number, file: string): Promise<Bytes> {
    let response: Response;
    let bytes: Bytes;
    try {
      const id = encodeURIComponent(this.recording);
      response = await fetch(`/api/v1/recordings/${id}/${path}`, {
        credentials: "same-origin",
        cache: "no-store",
      });
      bytes = new Uint8Array(await response.arrayBuffer());
    } catch {
      return refuse({ code: "unreachable", file, status: 0 });
    }
    if (response.status === 401) void this.api.logOut();
    if (!response.ok) return refuse({ code: "unreachable", file, status: response.status });
    return bytes.length <= limit
      ? bytes
      : refuse({ code: "length", file, bytes: bytes.length, expected: limit });
  }
}
