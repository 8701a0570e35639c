/** The coach's page: one button, and why it does not work yet. */

import { useEffect, useState } from "preact/hooks";

import { clock } from "../viewer/timeline";
import { Problem, type Api, type Lesson as Planned, type Preflight, type Status } from "./api";
import { Card, entries, Failed, Field, Reasons, useAction, useLoaded, usePagesText } from "./common";
import { Openers } from "./Openers";
import { Preview } from "./Preview";
import { useElapsed, useStatus } from "./status";

const DROP_S = 60;

interface Terms {
  readonly purpose?: string;
  readonly longest_s?: number;
  readonly class?: string | null;
  readonly teacher?: string | null;
  readonly coach?: string | null;
}

export function Lesson({ api }: { api: Api }) {
  const t = usePagesText();
  const { status, lost } = useStatus(api);
  const { busy, error, act } = useAction();
  const [confirm, setConfirm] = useState<number | null>(null);
  const state = status?.state;
  useEffect(() => {
    if (state !== "arming") setConfirm(null);
  }, [state]);
  if (!status) return <p role="status">{lost ? t.problems["unreachable"] : t.loading}</p>;
  const prepared = status.state === "prepared";
  const running = status.state === "recording" || status.state === "arming";
  return (
    <>
      <section class="card now" data-state={status.state} aria-labelledby="now">
        <h2 id="now" aria-live="assertive">
          {t.states[status.state]}
        </h2>
        {lost && <p class="warn">{t.problems["unreachable"]}</p>}
        {status.lesson && <About lesson={status.lesson} />}
        {status.lesson && <Openers lesson={status.lesson} />}
        <Times status={status} />
        {status.ends_soon && (
          <p class="warn" role="alert" data-ends-soon>
            {t.endsSoon}
          </p>
        )}
        {confirm !== null && status.state === "arming" && (
          <p class="notice" role="alert">
            {t.confirm(confirm)}
          </p>
        )}
        {prepared && (
          <button
            type="button"
            class="big start"
            disabled={busy}
            onClick={() =>
              void act(async () => {
                const found = await api.post<{ confirm_within_s?: number }>("recordings/start");
                setConfirm(found.confirm_within_s ?? null);
              })
            }
          >
            {t.start}
          </button>
        )}
        {running && (
          <button
            type="button"
            class="big stop"
            disabled={busy}
            onClick={() => void act(() => api.post("recordings/stop", { objection: false }))}
          >
            {t.stop}
          </button>
        )}
        {status.state === "recording" && <Drop api={api} />}
        {prepared && (
          <button
            type="button"
            disabled={busy}
            onClick={() => void act(() => api.post("recordings/withdraw"))}
          >
            {t.withdraw}
          </button>
        )}
        {status.fault && status.state === "sealed-with-fault" && (
          <p class="problem">
            {t.faultWas}: {t.reasons[status.fault] ?? status.fault}
          </p>
        )}
        <Failed error={error} />
      </section>
      {running && <Preview cameras={status.cameras.map((one) => one.camera)} />}
      {!running && status.state !== "stopping" && (
        <>
          <Checks api={api} state={status.state} />
          {!prepared && <Prepare api={api} />}
        </>
      )}
    </>
  );
}

function About({ lesson }: { lesson: Planned }) {
  const t = usePagesText();
  return (
    <p>
      {[
        lesson.class && `${t.class} ${lesson.class}`,
        lesson.teacher && `${t.roles["teacher"]} ${lesson.teacher}`,
        lesson.coach && `${t.roles["coach"]} ${lesson.coach}`,
        clock(lesson.planned_s),
      ]
        .filter(Boolean)
        .join(" · ")}
    </p>
  );
}

function Times({ status }: { status: Status }) {
  const t = usePagesText();
  const since = useElapsed(status);
  const left = status.left_s === null ? null : Math.max(0, status.left_s - since);
  return (
    <>
      {status.recording_s !== null && (
        <p class="elapsed">
          <span class="hint">{t.elapsed}</span>{" "}
          <strong data-elapsed>{clock(status.recording_s + since)}</strong>
        </p>
      )}
      {left !== null && status.state === "recording" && <p class="hint">{t.left(clock(left))}</p>}
      {left !== null && status.state === "prepared" && <p class="hint">{t.lapses(clock(left))}</p>}
    </>
  );
}

/** For the moment in which a pupil is upset: one press, no question asked. */
function Drop({ api }: { api: Api }) {
  const t = usePagesText();
  const { busy, error, act } = useAction();
  const [done, setDone] = useState(false);
  const [absent, setAbsent] = useState(false);
  if (absent) return null;
  const drop = async (stop: boolean): Promise<void> => {
    setDone(false);
    const went = await act(async () => {
      try {
        await api.post("recordings/drop-last", { seconds: DROP_S, stop });
      } catch (problem) {
        // A box of an older version.
        if (problem instanceof Problem && (problem.status === 404 || problem.status === 405)) {
          setAbsent(true);
        }
        throw problem;
      }
    });
    setDone(went);
  };
  return (
    <div class="drop">
      <div class="row">
        <button type="button" disabled={busy} onClick={() => void drop(false)} data-act="drop">
          {t.drop}
        </button>
        <button type="button" disabled={busy} onClick={() => void drop(true)}>
          {t.dropStop}
        </button>
      </div>
      <p class="hint">{t.dropHint}</p>
      {done && <p role="status">{t.dropDone}</p>}
      <Failed error={error} />
    </div>
  );
}

function Checks({ api, state }: { api: Api; state: string }) {
  const t = usePagesText();
  const { value, error, again } = useLoaded(() => api.get<Preflight>("preflight"), [api, state]);
  // That nothing is prepared yet is what the form on this page is for.
  const reasons = value?.reasons.filter((reason) => reason.code !== "not-prepared") ?? [];
  return (
    <section class="card" aria-labelledby="checks">
      <h2 id="checks" aria-live="polite" data-ready={value ? reasons.length === 0 : undefined}>
        {!value ? t.loading : reasons.length === 0 ? t.ready : t.notReady(reasons.length)}
      </h2>
      <Reasons reasons={reasons} />
      <Failed error={error} />
      <button type="button" onClick={again}>
        {t.look}
      </button>
    </section>
  );
}

function Prepare({ api }: { api: Api }) {
  const t = usePagesText();
  const { busy, error, act } = useAction();
  const { value: terms } = useLoaded(() => api.get<Terms>("terms"), [api]);
  if (!terms) return null;
  const longest = Math.floor((terms.longest_s ?? 2700) / 60);
  return (
    <Card title={t.prepareTitle}>
      <form
        onSubmit={(event) => {
          const { teacher, question = "", minutes, ...given } = entries(event);
          const lesson = {
            class: given["class"] || null,
            teacher: teacher || null,
            coach: api.session.person ?? null,
            question,
            purpose: terms.purpose ?? null,
            planned_s: Math.round(Number(minutes) * 60),
          };
          void act(() => api.post("recordings/prepare", lesson));
        }}
      >
        <Field id="class" label={t.class}>
          <input id="class" name="class" type="text" value={terms.class ?? ""} autocapitalize="none" />
        </Field>
        <Field id="teacher" label={t.teacher}>
          <input
            id="teacher"
            name="teacher"
            type="text"
            required
            value={terms.teacher ?? ""}
            autocapitalize="none"
          />
        </Field>
        <Field id="question" label={t.question} hint={t.questionHint}>
          <textarea
            id="question"
            name="question"
            rows={3}
            required
            aria-describedby="question-hint"
          />
        </Field>
        <Field id="minutes" label={t.planned}>
          <input
            id="minutes"
            name="minutes"
            type="number"
            min={1}
            max={longest}
            value={Math.min(30, longest)}
            required
          />
        </Field>
        <button class="primary" disabled={busy}>
          {t.prepare}
        </button>
      </form>
      <Failed error={error} />
    </Card>
  );
}
