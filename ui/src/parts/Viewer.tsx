/**
 * One recording, from its files to its pictures: checks, asks for the key, shows what the recording
 * says about itself, plays. Where the files come from is the caller's matter.
 */

import { useContext, useEffect, useRef, useState } from "preact/hooks";

import { reasonEn, viewerEn, type ViewerText } from "../text/viewer.en";
import { reasonNl, viewerNl } from "../text/viewer.nl";
import { moment, Spoken } from "../text/language";
import { watchIdle } from "../viewer/idle";
import { IDENTITY_LIMIT, readIdentities } from "../viewer/keys";
import type { Manifest } from "../viewer/manifest";
import type { BoxKey } from "../viewer/minisign";
import { check, Opened, type Checked } from "../viewer/recording";
import { Refused, type Reason } from "../viewer/refused";
import type { Source } from "../viewer/source";
import { clock, pieces, withoutPictures } from "../viewer/timeline";
import { Screen } from "./Screen";

export const useViewerText = (): { t: ViewerText; because: (reason: Reason) => string } =>
  useContext(Spoken) === "nl"
    ? { t: viewerNl, because: reasonNl }
    : { t: viewerEn, because: reasonEn };

/** The reason in an error; what nobody foresaw counts as a page that cannot play. */
export const reasonOf = (error: unknown): Reason =>
  error instanceof Refused ? error.reason : { code: "unplayable", file: "" };

export function Problem({ reason }: { reason: Reason }) {
  const { t, because } = useViewerText();
  return (
    <p class="problem" role="alert" data-code={reason.code}>
      <strong>{t.refused}.</strong> {because(reason)}
    </p>
  );
}

interface Props {
  source: Source;
  /** The box's key as the viewer's user has it from elsewhere. */
  pinned: BoxKey | null;
  /** Who is logged in, where somebody is. */
  person: string | null;
  /** Hears when the recording is opened, and when it is not open any more. */
  onOpened?: (opened: Opened | null) => void;
}

export function Viewer({ source, pinned, person, onOpened }: Props) {
  const { t } = useViewerText();
  const [checked, setChecked] = useState<Checked | null>(null);
  const [opened, setOpened] = useState<Opened | null>(null);
  const [problem, setProblem] = useState<Reason | null>(null);
  const [locked, setLocked] = useState<"no" | "asked" | "idle">("no");
  const playing = useRef(false);

  useEffect(() => {
    let current = true;
    setChecked(null);
    setProblem(null);
    setLocked("no");
    check(source, pinned).then(
      (found) => current && setChecked(found),
      (error: unknown) => current && setProblem(reasonOf(error)),
    );
    return () => {
      current = false;
    };
  }, [source, pinned]);

  // Whatever takes this page away takes the key along.
  useEffect(() => () => opened?.close(), [opened]);
  useEffect(() => onOpened?.(opened), [opened]);

  const lock = (why: "asked" | "idle"): void => {
    opened?.close();
    setOpened(null);
    setLocked(why);
  };
  useEffect(
    () => (opened ? watchIdle(() => playing.current, () => lock("idle")) : undefined),
    [opened],
  );

  if (problem) return <Problem reason={problem} />;
  if (!checked) return <p role="status">{t.working}</p>;
  return (
    <div class="viewer">
      {opened ? (
        <Screen
          opened={opened}
          person={person}
          onPlaying={(now) => {
            playing.current = now;
          }}
          onRefused={(reason) => {
            opened.close();
            setOpened(null);
            setProblem(reason);
          }}
          onLock={() => lock("asked")}
        />
      ) : (
        <>
          {locked !== "no" && (
            <p class="notice" role="status" data-locked={locked}>
              {locked === "idle" ? t.lockedIdle : t.locked}
            </p>
          )}
          <Unlock checked={checked} onOpened={setOpened} />
        </>
      )}
      <About checked={checked} opened={opened} />
    </div>
  );
}

function Unlock({ checked, onOpened }: { checked: Checked; onOpened: (opened: Opened) => void }) {
  const { t } = useViewerText();
  const [problem, setProblem] = useState<Reason | null>(null);
  const [working, setWorking] = useState(false);
  const [visible, setVisible] = useState(false);
  const file = useRef<HTMLInputElement>(null);
  const passphrase = useRef<HTMLInputElement>(null);

  const unlock = async (event: Event): Promise<void> => {
    event.preventDefault();
    setProblem(null);
    setWorking(true);
    try {
      const picked = file.current?.files?.[0];
      if (!picked || picked.size > IDENTITY_LIMIT) throw new Refused({ code: "bad-identity" });
      // Lets the browser show that something happens before a second of arithmetic.
      await new Promise((done) => setTimeout(done, 20));
      const bytes = new Uint8Array(await picked.arrayBuffer());
      const person = await readIdentities(bytes, passphrase.current?.value ?? "");
      const opened = await Opened.open(checked, person);
      if (passphrase.current) passphrase.current.value = "";
      onOpened(opened);
    } catch (error) {
      setProblem(reasonOf(error));
    } finally {
      setWorking(false);
    }
  };

  return (
    <form class="card unlock" onSubmit={(event) => void unlock(event)} autocomplete="off">
      <label for="key-file">{t.pickKey}</label>
      <input id="key-file" type="file" ref={file} required aria-describedby="key-hint" />
      <p id="key-hint" class="hint">
        {t.pickKeyHint}
      </p>
      <label for="passphrase">{t.passphrase}</label>
      <div class="row">
        <input
          id="passphrase"
          {...({ type: visible ? "text" : "password" } as { type: "password" })}
          ref={passphrase}
          autocomplete="off"
          aria-describedby="passphrase-hint"
        />
        <button type="button" aria-pressed={visible} onClick={() => setVisible(!visible)}>
          {visible ? t.hide : t.show}
        </button>
      </div>
      <p id="passphrase-hint" class="hint">
        {t.passphraseHint}
      </p>
      <button class="primary" type="submit" disabled={working}>
        {working ? t.working : t.unlock}
      </button>
      {problem && <Problem reason={problem} />}
    </form>
  );
}

/** What the recording says about itself: signed, so it is shown before anybody has a key. */
function About({ checked, opened }: { checked: Checked; opened: Opened | null }) {
  const { t } = useViewerText();
  const language = useContext(Spoken);
  const { manifest } = checked;
  const overdue = Date.parse(manifest.delete_by) < Date.now();
  const name = (id: string | null): string | null =>
    id === null ? null : (opened?.named(id) ?? id);
  const rows: [string, string | null][] = [
    [t.purpose, t.purposes[manifest.purpose] ?? manifest.purpose],
    [t.never, manifest.never_for.map((one) => t.nevers[one] ?? one).join(", ")],
    [t.recorded, moment(language, manifest.started)],
    [t.length, clock(lengthOf(manifest))],
    [t.deadline, moment(language, manifest.delete_by)],
    [t.class, manifest.class],
    [t.teacher, name(manifest.teacher)],
    [t.coach, name(manifest.coach)],
    [t.question, opened?.details.question ?? null],
    [t.policy, t.policies[manifest.policy] ?? manifest.policy],
    [t.gaps, gapText(manifest, t.whys) ?? t.noGaps],
    [t.fault, manifest.fault],
  ];
  return (
    <section class="card about" aria-labelledby="about">
      <h2 id="about">{t.about}</h2>
      {overdue && (
        <p class="problem" role="alert">
          {t.overdue}
        </p>
      )}
      <dl>
        {rows.map(([term, value]) =>
          value === null ? null : (
            <div key={term}>
              <dt>{term}</dt>
              <dd>{value}</dd>
            </div>
          ),
        )}
        <div>
          <dt>{t.mayLook}</dt>
          <dd>
            {t.mayLookKeys(manifest.recipients.length)}
            <ul class="keys">
              {manifest.recipients.map((one) => (
                <li key={one}>
                  <code>{one}</code>
                </li>
              ))}
            </ul>
            {t.mayLookGrants}
          </dd>
        </div>
      </dl>
      {manifest.may_miss_ms ? <p>{t.mayMiss(Math.ceil(manifest.may_miss_ms / 1000))}</p> : null}
      {opened && opened.notes.length > 0 && (
        <>
          <h3>{t.notes}</h3>
          <ul>
            {opened.notes.map((note) => (
              <li key={note.added}>
                {opened.named(note.by)}: {note.text}
              </li>
            ))}
          </ul>
        </>
      )}
      {opened && opened.details.waivers.length > 0 && (
        <>
          <h3>{t.waivers}</h3>
          <ul>
            {opened.details.waivers.map((one) => (
              <li key={one}>{one}</li>
            ))}
          </ul>
        </>
      )}
      <p class="hint" data-signer={checked.signer.id}>
        {checked.pinned ? t.boxKeyFits(checked.signer.id) : t.boxKeyUnproven(checked.signer.id)}
      </p>
    </section>
  );
}

const lengthOf = (manifest: Manifest): number =>
  Math.max(
    0,
    ...manifest.cameras.map((camera) => {
      const all = pieces(manifest.segments, camera, manifest.segment_ms);
      return (all.at(-1)?.end ?? 0) - (all[0]?.start ?? 0);
    }),
  );

function gapText(manifest: Manifest, whys: ViewerText["whys"]): string | null {
  const all = manifest.cameras.flatMap((camera) => {
    const own = pieces(manifest.segments, camera, manifest.segment_ms);
    const first = own[0]?.start ?? 0;
    return withoutPictures(own, camera, manifest.gaps ?? []).map(({ start, end, why }) => {
      const where = manifest.cameras.length > 1 ? `${camera} ` : "";
      const because = why ? ` (${whys[why] ?? why})` : "";
      return `${where}${clock(start - first)} – ${clock(end - first)}${because}`;
    });
  });
  return all.length > 0 ? all.join(", ") : null;
}
