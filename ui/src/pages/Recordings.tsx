/** One's recordings, and the viewer on one of them. */

import { useContext, useMemo, useState } from "preact/hooks";

import { Viewer } from "../parts/Viewer";
import type { Opened } from "../viewer/recording";
import { moment, Spoken } from "../text/language";
import { viewerEn } from "../text/viewer.en";
import { viewerNl } from "../text/viewer.nl";
import { clock } from "../viewer/timeline";
import { Access } from "./Access";
import { BoxSource, type Api, type RecordingRow } from "./api";
import { Card, Failed, useAction, useLoaded, usePagesText } from "./common";

interface Answer {
  readonly recordings?: readonly RecordingRow[];
  readonly count?: number;
}

export function Recordings({ api }: { api: Api }) {
  const t = usePagesText();
  const { value, error, again } = useLoaded(() => api.get<Answer>("recordings"), [api]);
  const [open, setOpen] = useState<{ one: RecordingRow; as: "watch" | "access" } | null>(null);
  const back = (): void => {
    setOpen(null);
    again();
  };
  if (open?.as === "watch") return <Watch api={api} recording={open.one} onBack={back} />;
  if (open) return <Access api={api} recording={open.one} onBack={back} />;
  return (
    <Card title={t.recordingsTitle}>
      <Failed error={error} />
      {!value && error === null && <p role="status">{t.loading}</p>}
      {value?.count !== undefined && <p>{t.recordingsCount(value.count)}</p>}
      {value?.recordings?.length === 0 && <p>{t.recordingsNone}</p>}
      <ul class="cards">
        {value?.recordings?.map((one) => (
          <li key={one.id} data-recording={one.id}>
            <Row
              recording={one}
              onWatch={() => setOpen({ one, as: "watch" })}
              onAccess={isTeachers(api, one) ? () => setOpen({ one, as: "access" }) : null}
            />
          </li>
        ))}
      </ul>
      <p class="hint">
        {t.offline}{" "}
        <a href="/viewer.html" download="classveil-viewer.html">
          {t.offlineLink}
        </a>
      </p>
    </Card>
  );
}

const isTeachers = (api: Api, { teacher, state }: RecordingRow): boolean =>
  api.session.role === "teacher" && teacher === api.session.person && state !== "recording";

interface RowProps {
  recording: RecordingRow;
  onWatch: () => void;
  onAccess: (() => void) | null;
}

function Row({ recording, onWatch, onAccess }: RowProps) {
  const t = usePagesText();
  const language = useContext(Spoken);
  const words = language === "nl" ? viewerNl : viewerEn;
  const when = moment(language, recording.started);
  return (
    <>
      <h3>{when}</h3>
      <dl>
        <div>
          <dt>{t.length}</dt>
          <dd>{recording.seconds === null ? t.none : clock(recording.seconds)}</dd>
        </div>
        <div>
          <dt>{t.class}</dt>
          <dd>{recording.class ?? t.none}</dd>
        </div>
        <div>
          <dt>{t.teacher}</dt>
          <dd>{recording.teacher ?? t.none}</dd>
        </div>
        <div>
          <dt>{t.coachName}</dt>
          <dd>{recording.coach ?? t.none}</dd>
        </div>
        <div>
          <dt>{t.purpose}</dt>
          <dd>{words.purposes[recording.purpose] ?? recording.purpose}</dd>
        </div>
        <div>
          <dt>{t.deleteBy}</dt>
          <dd>{moment(language, recording.delete_by)}</dd>
        </div>
      </dl>
      {recording.withheld && <p class="warn">{t.withheld}</p>}
      {recording.may_view ? (
        <button type="button" class="primary" onClick={onWatch} aria-label={`${t.watch}: ${when}`}>
          {t.watch}
        </button>
      ) : (
        !recording.withheld && recording.state !== "recording" && <p class="hint">{t.notYours}</p>
      )}
      {onAccess && (
        <button
          type="button"
          onClick={onAccess}
          data-act="access"
          aria-label={`${t.accessShow}: ${when}`}
        >
          {t.accessShow}
        </button>
      )}
    </>
  );
}

interface WatchProps {
  api: Api;
  recording: RecordingRow;
  onBack: () => void;
}

function Watch({ api, recording, onBack }: WatchProps) {
  const t = usePagesText();
  const source = useMemo(() => new BoxSource(recording.id, api), [recording.id]);
  const [opened, setOpened] = useState<Opened | null>(null);
  return (
    <>
      <p>
        <button type="button" onClick={onBack}>
          {t.backToList}
        </button>
      </p>
      {/* The box's own word on its key proves nothing: whoever wants proof uses the saved viewer. */}
      <Viewer
        source={source}
        pinned={null}
        person={api.session.person ?? api.session.name}
        onOpened={setOpened}
      />
      {isOwn(api, recording) && <CloseTalk api={api} recording={recording} opened={opened} />}
    </>
  );
}

const isOwn = (api: Api, { teacher, coach }: RecordingRow): boolean =>
  (api.session.role === "teacher" ? teacher : coach) === api.session.person;

interface CloseTalkProps {
  api: Api;
  recording: RecordingRow;
  opened: Opened | null;
}

/** The talk about a recording is over, so it goes earlier; signed by who opened it, where that can be told. */
function CloseTalk({ api, recording, opened }: CloseTalkProps) {
  const t = usePagesText();
  const language = useContext(Spoken);
  const { busy, error, act } = useAction();
  const [ends, setEnds] = useState<string | null>(null);
  const close = (): void => {
    if (!window.confirm(t.talkSure)) return;
    const path = `recordings/${encodeURIComponent(recording.id)}/close-talk`;
    void act(async () => {
      const by = api.own;
      const claim = { recording: recording.id, at: new Date().toISOString(), by };
      const signs = opened?.viewer.person === by;
      const statement = signs ? opened.sign(by, "classveil-talk/1", claim) : null;
      setEnds((await api.post<{ delete_by: string }>(path, { statement })).delete_by);
    });
  };
  return (
    <Card title={t.talkTitle}>
      <p>{t.talkHint}</p>
      <button type="button" disabled={busy} onClick={close} data-act="close-talk">
        {t.talkClose}
      </button>
      {ends !== null && (
        <p class="good" role="status" data-talk-closed>
          {t.talkClosed(moment(language, ends))}
        </p>
      )}
      <Failed error={error} />
    </Card>
  );
}
