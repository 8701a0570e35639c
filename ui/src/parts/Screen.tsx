/** The picture with its controls, the watermark, and the marks. Own controls: the browser's would
 * show the picture alone in full screen, without the watermark. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import {
  fragments,
  isAnybodys,
  isOwn,
  keptMarks,
  MARKS_LIMIT,
  sealMarks,
  unsealMarks,
  type Kept,
  type Mark,
} from "../viewer/marks";
import { Player } from "../viewer/player";
import type { Opened } from "../viewer/recording";
import { refuse, type Reason } from "../viewer/refused";
import { clock, gaps } from "../viewer/timeline";
import { Problem, reasonOf, useViewerText } from "./Viewer";

/** How long the watermark stays in one place, in milliseconds. */
const DRIFT = 7000;
const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2];

interface Props {
  opened: Opened;
  person: string | null;
  onPlaying: (playing: boolean) => void;
  onRefused: (reason: Reason) => void;
  onLock: () => void;
}

export function Screen({ opened, person, onPlaying, onRefused, onLock }: Props) {
  const { t } = useViewerText();
  const { manifest } = opened;
  const frame = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const [camera, setCamera] = useState(manifest.cameras[0] ?? "");
  const [player, setPlayer] = useState<Player | null>(null);
  const [at, setAt] = useState(0);
  const [playing, setPlaying] = useState(false);
  const [waiting, setWaiting] = useState<Reason | null>(null);

  useEffect(() => {
    if (!video.current) return;
    const made = new Player(video.current, opened, camera, {
      refused: onRefused,
      waiting: setWaiting,
    });
    setPlayer(made);
    setAt(made.pieces[0]?.start ?? 0);
    made.start();
    return () => made.close();
  }, [opened, camera]);

  const from = player?.pieces[0]?.start ?? 0;
  const end = player?.end ?? 0;
  const holes = useMemo(() => (player ? gaps(player.pieces) : []), [player]);
  const inGap = holes.some((gap) => at > gap.start && at < gap.end);
  const go = (to: number): void => {
    if (video.current) video.current.currentTime = Math.min(Math.max(to, from), end);
  };
  const toggle = (): void => {
    const it = video.current;
    if (!it) return;
    // A play that is broken off by a jump or by closing is no error.
    if (it.paused) void it.play().catch(() => undefined);
    else it.pause();
  };
  const told = (now: boolean): void => {
    setPlaying(now);
    onPlaying(now);
  };

  return (
    <section class="card" aria-label={t.title}>
      {manifest.cameras.length > 1 && (
        <p class="row">
          <label for="camera">{t.camera}</label>
          <select id="camera" value={camera} onChange={(e) => setCamera(e.currentTarget.value)}>
            {manifest.cameras.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </p>
      )}
      {player && player.pieces.length === 0 && <p role="status">{t.empty}</p>}
      <div class="frame" ref={frame}>
        <video
          ref={video}
          playsInline
          disablePictureInPicture
          disableRemotePlayback
          aria-label={t.title}
          onClick={toggle}
          onPlay={() => told(true)}
          onPause={() => told(false)}
          onEnded={() => told(false)}
          onTimeUpdate={(e) => setAt(e.currentTarget.currentTime)}
          onSeeking={(e) => setAt(e.currentTarget.currentTime)}
          onContextMenu={(e) => e.preventDefault()}
        />
        <Watermark text={[person, opened.viewer.fingerprint.slice(0, 16)].filter(Boolean).join(" · ")} />
        <div class="controls">
          <input
            type="range"
            aria-label={t.position}
            aria-valuetext={`${clock(at - from)} / ${clock(end - from)}`}
            min={from}
            max={end}
            step={0.1}
            value={at}
            onInput={(e) => go(Number(e.currentTarget.value))}
          />
          <div class="row">
            <button type="button" class="primary" onClick={toggle} data-act="play">
              {playing ? t.pause : t.play}
            </button>
            <button type="button" onClick={() => go(at - 10)}>
              {t.back}
            </button>
            <button type="button" onClick={() => go(at + 10)}>
              {t.forward}
            </button>
            <span class="clock" aria-live="off">
              {clock(at - from)} / {clock(end - from)}
            </span>
            <label>
              {t.speed}{" "}
              <select
                onChange={(e) => {
                  if (video.current) video.current.playbackRate = Number(e.currentTarget.value);
                }}
              >
                {SPEEDS.map((speed) => (
                  <option key={speed} value={speed} selected={speed === 1}>
                    {speed}×
                  </option>
                ))}
              </select>
            </label>
            {manifest.audio ? (
              <label>
                {t.volume}{" "}
                <input
                  type="range"
                  class="volume"
                  min={0}
                  max={1}
                  step={0.05}
                  onInput={(e) => {
                    if (video.current) video.current.volume = Number(e.currentTarget.value);
                  }}
                />
              </label>
            ) : (
              <span class="hint">{t.noSound}</span>
            )}
            <button
              type="button"
              onClick={() => {
                if (document.fullscreenElement) void document.exitFullscreen();
                else void frame.current?.requestFullscreen();
              }}
            >
              {t.fullscreen}
            </button>
            <button type="button" onClick={onLock} data-act="lock">
              {t.lock}
            </button>
          </div>
        </div>
      </div>
      <p role="status" class="hint">
        {waiting ? t.waiting : inGap ? t.inGap : ""}
      </p>
      <Marks opened={opened} person={person} camera={camera} at={at} from={from} go={go} />
    </section>
  );
}

/** Says on the picture who is looking, in another place every few seconds. */
function Watermark({ text }: { text: string }) {
  const mark = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const move = (): void => {
      const it = mark.current;
      if (!it) return;
      it.style.left = `${5 + Math.random() * 55}%`;
      it.style.top = `${5 + Math.random() * 65}%`;
    };
    move();
    const timer = setInterval(move, DRIFT);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class="watermark" ref={mark} aria-hidden="true">
      {text}
    </div>
  );
}

interface MarksProps {
  opened: Opened;
  person: string | null;
  camera: string;
  at: number;
  from: number;
  go: (to: number) => void;
}

function Marks({ opened, person, camera, at, from, go }: MarksProps) {
  const { t } = useViewerText();
  const [marks, setMarks] = useState<readonly Mark[]>([]);
  const [begun, setBegun] = useState<number | null>(null);
  const [others, setOthers] = useState<readonly Kept[]>([]);
  const [saved, setSaved] = useState(true);
  const [kept, setKept] = useState(false);
  const { source } = opened.checked;
  const { manifest } = opened;
  // The key says who it is, and in whose name it signs; where nobody names the key, the login does.
  const { person: signer } = opened.viewer;
  const own = signer ?? person;
  // What is kept takes the place of what was kept before: nothing is, until that is here.
  const [loaded, setLoaded] = useState(false);
  const [problem, setProblem] = useState<Reason | null>(null);
  const ms = (seconds: number): number => Math.round(seconds * 1000);
  const change = (changed: readonly Mark[]): void => {
    setMarks(changed);
    setSaved(false);
    setKept(false);
  };

  useEffect(() => {
    let current = true;
    setLoaded(false);
    keptMarks(opened).then(
      (found) => {
        if (!current) return;
        setLoaded(true);
        const isMine = (it: Kept): boolean => isOwn(manifest, it, own);
        // Whoever was quicker than the box keeps what they marked meanwhile.
        setMarks((made) => [...(found.find(isMine)?.marks ?? []), ...made]);
        setOthers(found.filter((it) => !isMine(it)));
      },
      (error: unknown) => current && setProblem(reasonOf(error)),
    );
    return () => {
      current = false;
    };
  }, [opened, own]);

  useEffect(() => {
    if (saved) return;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [saved]);

  const save = async (): Promise<void> => {
    try {
      download(`marks-${manifest.recording}.age`, await sealMarks(opened, own, marks));
      setSaved(true);
    } catch (error) {
      setProblem(reasonOf(error));
    }
  };
  const keep = async (): Promise<void> => {
    setProblem(null);
    try {
      if (signer !== null && person !== null && signer !== person) refuse({ code: "not-your-key" });
      await source.keepMarks?.(await sealMarks(opened, own, marks));
      setSaved(true);
      setKept(true);
    } catch (error) {
      setProblem(reasonOf(error));
    }
  };
  const load = async (input: HTMLInputElement): Promise<void> => {
    const file = input.files?.[0];
    if (!file) return;
    setProblem(null);
    try {
      if (file.size > MARKS_LIMIT) throw new Error("too large");
      const found = await unsealMarks(opened, new Uint8Array(await file.arrayBuffer()), null);
      // What is loaded is saved as one's own: it has to be.
      if (found.mine || isOwn(manifest, found, own) || isAnybodys(manifest, found)) {
        change([...marks, ...found.marks]);
      } else {
        setOthers((all) => [...all, found]);
      }
    } catch {
      setProblem({ code: "marks" });
    }
    input.value = "";
  };

  return (
    <section aria-labelledby="marks" class="marks">
      <h2 id="marks">{t.marks}</h2>
      <p class="hint">{t.marksHint}</p>
      <p class="row">
        <button
          type="button"
          data-act="mark"
          onClick={() => {
            if (begun === null) return setBegun(at);
            const [a, b] = [Math.min(begun, at), Math.max(begun, at)];
            change([...marks, { camera, from_ms: ms(a), to_ms: Math.max(ms(b), ms(a) + 1), note: "" }]);
            setBegun(null);
          }}
        >
          {begun === null ? t.markFrom : t.markTo}
        </button>
        {begun !== null && <span role="status">{t.marking(clock(begun - from))}</span>}
      </p>
      {marks.length === 0 && <p class="hint">{t.noMarks}</p>}
      <ul class="list">
        {marks.map((mark, index) => (
          <li key={index}>
            <button type="button" onClick={() => go(mark.from_ms / 1000)}>
              {t.goTo(`${clock(mark.from_ms / 1000 - from)} – ${clock(mark.to_ms / 1000 - from)}`)}
            </button>
            <input
              type="text"
              aria-label={t.note}
              placeholder={t.note}
              value={mark.note}
              onInput={(e) => {
                const note = e.currentTarget.value;
                change(marks.map((it, i) => (i === index ? { ...it, note } : it)));
              }}
            />
            <button type="button" onClick={() => change(marks.filter((_, i) => i !== index))}>
              {t.remove}
            </button>
          </li>
        ))}
      </ul>
      {signer === null && (
        <p class="problem" role="note" data-unprovable>
          {t.marksUnprovable}
        </p>
      )}
      {others.map((one, place) => (
        <div key={place} data-marks-of={one.person} data-made={one.made}>
          <h3>{t.marksOf(opened.named(one.person))}</h3>
          {one.made === "signed" ? (
            <p class={opened.checked.pinned ? "good" : "hint"}>
              {one.byGrant ? t.signedByGrant : t.signed}
              {!opened.checked.pinned && ` ${t.signedUnproven}`}
            </p>
          ) : (
            <p class="problem" role="alert">
              {one.made === "not-theirs" && isAnybodys(manifest, one)
                ? t.marksNobodyKnows
                : t.made[one.made]}
            </p>
          )}
          <ul class="list">
            {one.marks.map((mark, index) => (
              <li key={index}>
                <button type="button" onClick={() => go(mark.from_ms / 1000)}>
                  {t.goTo(
                    `${clock(mark.from_ms / 1000 - from)} – ${clock(mark.to_ms / 1000 - from)}`,
                  )}
                </button>{" "}
                {mark.note}
              </li>
            ))}
          </ul>
        </div>
      ))}
      <p class="row">
        {source.keepMarks && (
          <button
            type="button"
            class="primary"
            disabled={!loaded}
            onClick={() => void keep()}
            data-act="keep"
          >
            {t.keepMarks}
          </button>
        )}
        <button type="button" disabled={marks.length === 0} onClick={() => void save()} data-act="save">
          {t.saveMarks}
        </button>
        <button
          type="button"
          disabled={marks.length === 0}
          onClick={() => {
            download(`parts-${manifest.recording}.txt`, new TextEncoder().encode(fragments(marks)));
          }}
        >
          {t.saveParts}
        </button>
        <label>
          {t.loadMarks} <input type="file" onChange={(e) => void load(e.currentTarget)} />
        </label>
        {!saved && <span role="status">{t.unsaved}</span>}
        {kept && (
          <span role="status" class="good" data-kept>
            {t.keptMarks}
          </span>
        )}
      </p>
      {problem && <Problem reason={problem} />}
    </section>
  );
}

/** Hands a file to the browser's own downloads. */
export function download(name: string, bytes: Uint8Array): void {
  const url = URL.createObjectURL(new Blob([bytes as BlobPart]));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
