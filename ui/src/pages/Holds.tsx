/**
 * Holds: a recording that somebody who was recorded needs, kept beyond its deadline and from everybody.
 * They ask, the privacy officer approves by entering it, and either ends it.
 */

import { useContext } from "preact/hooks";

import { moment, Spoken } from "../text/language";
import type { Api } from "./api";
import { Card, digestOf, entries, Failed, Field, useAction, useLoaded, usePagesText } from "./common";
import { Named, type About } from "./named";

interface Held {
  readonly recording: string;
  readonly from: string;
  readonly until: string;
  readonly requested_by: string;
  readonly approved_by: string;
  readonly counts: boolean;
}

/** Longest hold, in days. */
const LONGEST = 90;

export function Holds({ api, recordings }: { api: Api; recordings: readonly About[] }) {
  const t = usePagesText();
  const language = useContext(Spoken);
  const { value, error, again } = useLoaded(() => api.get<{ holds: readonly Held[] }>("holds"), [api]);
  const { busy, error: failed, act } = useAction();
  const held = value?.holds.filter((one) => one.counts) ?? [];
  const release = (recording: string): void => {
    if (window.confirm(t.holdReleaseSure)) {
      void act(() => api.post("holds/release", { recording })).then(again);
    }
  };
  const place = (event: Event): void => {
    const { recording = "", by = "", days = "" } = entries(event);
    const form = event.currentTarget as HTMLFormElement;
    void act(async () => {
      await api.post("holds", {
        recording,
        requested_by: by,
        days: Number(days),
        reason_sha256: await digestOf(form, "reason"),
      });
      form.reset();
    }).then(again);
  };
  return (
    <Card title={t.holdsTitle}>
      <p>{t.holdsHint}</p>
      <Failed error={error ?? failed} />
      {value && held.length === 0 && <p class="hint">{t.holdsNone}</p>}
      <ul class="cards">
        {held.map((one) => (
          <li key={one.recording + one.from} data-held={one.recording}>
            <p>
              <Named id={one.recording} recordings={recordings} />
            </p>
            <p>
              {t.holdUntil(moment(language, one.until), one.requested_by, one.approved_by)}
            </p>
            <button
              type="button"
              disabled={busy}
              onClick={() => release(one.recording)}
              data-act="release"
              aria-label={`${t.holdRelease}: ${one.recording}`}
            >
              {t.holdRelease}
            </button>
          </li>
        ))}
      </ul>
      <h3>{t.holdPlace}</h3>
      <form onSubmit={place}>
        <Field id="hold-recording" label={t.requestAbout}>
          <select id="hold-recording" name="recording" required>
            {recordings.map(({ id, started, class: of }) => (
              <option key={id} value={id}>
                {started ? `${moment(language, started)}, ${of ?? t.none}` : id}
              </option>
            ))}
          </select>
        </Field>
        <Field id="hold-by" label={t.requestBy} hint={t.holdByHint}>
          <input
            id="hold-by"
            name="by"
            type="text"
            required
            autocapitalize="none"
            aria-describedby="hold-by-hint"
          />
        </Field>
        <Field id="hold-days" label={t.holdDays}>
          <input id="hold-days" name="days" type="number" min={1} max={LONGEST} value={LONGEST} required />
        </Field>
        <Field id="hold-reason" label={t.requestReason} hint={t.requestStays}>
          <input
            id="hold-reason"
            name="reason"
            type="file"
            required
            aria-describedby="hold-reason-hint"
          />
        </Field>
        <button disabled={busy || recordings.length === 0}>{t.holdDo}</button>
      </form>
    </Card>
  );
}
