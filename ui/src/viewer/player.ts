/**
 * Plays a camera of an opened recording by Media Source Extensions. A segment is fetched when its
 * turn comes, checked, decrypted, handed to the browser and forgotten; what was played is dropped.
 */

import type { Opened } from "./recording";
import { Refused, type Reason } from "./refused";
import { mimeType } from "./mp4";
import { next, pieces, type Piece } from "./timeline";

/** How often it looks for the next step where no event says so, in milliseconds. */
const TICK = 250;
/** The box is asked again after so long where it did not answer, in milliseconds. */
const RETRY = 2000;

export interface Hooks {
  /** Something is not as it was signed, or cannot be played: the picture is gone. */
  refused(reason: Reason): void;
  /** The box cannot be reached for now; `null` when it is again. */
  waiting(reason: Reason | null): void;
}

export class Player {
  readonly pieces: readonly Piece[];
  readonly #source = new MediaSource();
  readonly #url = URL.createObjectURL(this.#source);
  readonly #held = new Set<number>();
  #buffer: SourceBuffer | null = null;
  #busy = false;
  #closed = false;
  #notBefore = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly opened: Opened,
    camera: string,
    private readonly hooks: Hooks,
  ) {
    const { segments, segment_ms } = opened.manifest;
    this.pieces = pieces(segments, camera, segment_ms);
  }

  /** Total length: where the last segment ends. */
  get end(): number {
    return this.pieces.at(-1)?.end ?? 0;
  }

  /** Begins to fetch; playing is up to the video element. */
  start(): void {
    const first = this.pieces[0];
    if (!first) return;
    this.#source.addEventListener("sourceopen", () => this.#step(), { once: true });
    this.video.src = this.#url;
    for (const event of ["timeupdate", "seeking", "waiting"]) {
      this.video.addEventListener(event, this.#step);
    }
    this.video.addEventListener("error", this.#failed);
    this.#timer = setInterval(this.#step, TICK);
  }

  /** Takes the picture away and lets go of everything that was decrypted. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    for (const event of ["timeupdate", "seeking", "waiting"]) {
      this.video.removeEventListener(event, this.#step);
    }
    this.video.removeEventListener("error", this.#failed);
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.#url);
    this.#buffer = null;
    this.#held.clear();
  }

  readonly #failed = (): void => this.#refuse({ code: "unplayable", file: "" });

  #refuse(reason: Reason): void {
    if (this.#closed) return;
    this.close();
    this.hooks.refused(reason);
  }

  readonly #step = (): void => {
    if (this.#busy || this.#closed || this.#source.readyState === "closed") return;
    if (performance.now() < this.#notBefore) return;
    this.#busy = true;
    void this.#do().then(
      (more) => {
        this.#busy = false;
        if (more) this.#step();
      },
      (error: unknown) => {
        this.#busy = false;
        if (this.#closed) return;
        const reason: Reason =
          error instanceof Refused ? error.reason : { code: "unplayable", file: "" };
        if (reason.code === "unreachable" && (reason.status === 0 || reason.status >= 500)) {
          this.#notBefore = performance.now() + RETRY;
          this.hooks.waiting(reason);
        } else {
          this.#refuse(reason);
        }
      },
    );
  };

  /** Does one step; tells whether there may be another at once. */
  async #do(): Promise<boolean> {
    const { video } = this;
    const starved = video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
    const step = next(this.pieces, this.#held, video.currentTime, starved);
    switch (step.do) {
      case "jump":
        // Where the browser does not know the place yet, it goes there once it does.
        if (this.#buffer && Math.abs(video.currentTime - step.to) < 0.001) return false;
        if (!this.#buffer) await this.#append(this.pieces.findIndex((it) => it.start === step.to));
        video.currentTime = step.to;
        return false;
      case "append":
        await this.#append(step.index);
        return true;
      case "evict": {
        const piece = this.pieces[step.index];
        this.#held.delete(step.index);
        if (piece && this.#buffer) {
          const buffer = this.#buffer;
          await this.#update(() => buffer.remove(piece.start, piece.end));
        }
        return true;
      }
      case "end":
        if (this.#source.readyState === "open") this.#source.endOfStream();
        return false;
      case "wait":
        return false;
    }
  }

  async #append(index: number): Promise<void> {
    const piece = this.pieces[index];
    if (!piece) return;
    const bytes = await this.opened.segment(piece.segment);
    this.hooks.waiting(null);
    // Somebody jumped elsewhere or left meanwhile: this one may not be wanted any more.
    if (this.#closed) return;
    const buffer = this.#buffer ?? this.#open(bytes);
    await this.#update(() => buffer.appendBuffer(bytes));
    this.#held.add(index);
  }

  #open(first: Uint8Array): SourceBuffer {
    const type = mimeType(first);
    if (type === null || !MediaSource.isTypeSupported(type)) {
      throw new Refused({ code: "unplayable", file: type ?? "" });
    }
    this.#source.duration = this.end;
    this.#buffer = this.#source.addSourceBuffer(type);
    return this.#buffer;
  }

  #update(act: () => void): Promise<void> {
    const buffer = this.#buffer;
    return new Promise((done, failed) => {
      if (!buffer) return done();
      const off = (then: () => void) => (): void => {
        buffer.removeEventListener("updateend", ended);
        buffer.removeEventListener("error", broke);
        then();
      };
      const ended = off(done);
      const broke = off(() => failed(new Refused({ code: "unplayable", file: "" })));
      buffer.addEventListener("updateend", ended);
      buffer.addEventListener("error", broke);
      try {
        act();
      } catch (error) {
        off(() => failed(error as Error))();
      }
    });
  }
}
