/** Requests of people who were recorded, for the privacy officer: entering and deciding them. */

import { useContext, useState } from "preact/hooks";

import { moment, Spoken } from "../text/language";
import { text } from "../viewer/bytes";
import type { Api } from "./api";
import {
  Card,
  digestOf,
  entries,
  Failed,
  Field,
  fileOf,
  useAction,
  useLoaded,
  usePagesText,
} from "./common";
import { Holds } from "./Holds";
import { Named, type About } from "./named";

type Ask = "delete" | "restrict" | "add" | "access";

interface Answered {
  readonly at: string;
  readonly by: string;
  readonly decision: string;
}

interface Request {
  readonly number: number;
  readonly ask: Ask;
  readonly by: string;
  readonly recordings: readonly string[];
  readonly received: string;
  readonly due: string;
  readonly open: boolean;
  readonly overdue: boolean;
  readonly answers: readonly Answered[];
}

interface Answer {
  readonly requests: readonly Request[];
  readonly recordings: readonly About[];
}

/** Longest note in bytes: some pages of text. */
const NOTE_LIMIT = 48 << 10;

export function Requests({ api }: { api: Api }) {
  const t = usePagesText();
  const { value, error, again } = useLoaded(() => api.get<Answer>("requests"), [api]);
  const overdue = value?.requests.filter((one) => one.overdue).length ?? 0;
  return (
    <>
      <Card title={t.requestsTitle}>
        <Failed error={error} />
        {!value && error === null && <p role="status">{t.loading}</p>}
        {overdue > 0 && <p class="warn">{t.requestsOverdue(overdue)}</p>}
        {value?.requests.length === 0 && <p class="hint">{t.papersEmpty}</p>}
        <ul class="cards">
          {value?.requests.map((one) => (
            <li key={one.number} data-request={one.number} data-open={one.open}>
              <One api={api} request={one} recordings={value.recordings} onDecided={again} />
            </li>
          ))}
        </ul>
      </Card>
      {value && <Enter api={api} recordings={value.recordings} onEntered={again} />}
      {value && <Holds api={api} recordings={value.recordings} />}
    </>
  );
}

interface OneProps {
  api: Api;
  request: Request;
  recordings: readonly About[];
  onDecided: () => void;
}

function One({ api, request, recordings, onDecided }: OneProps) {
  const t = usePagesText();
  const language = useContext(Spoken);
  const { busy, error, act } = useAction();
  const last = request.answers.at(-1);
  const lifts = request.ask === "restrict" && last?.decision === "granted";
  const choices = lifts
    ? ["lifted"]
    : request.open
      ? ["granted", "refused", ...(request.answers.length === 0 ? ["extended"] : [])]
      : [];
  const [decision, setDecision] = useState(choices[0] ?? "");
  const needsReason = decision === "refused" || decision === "extended";
  const needsNote = request.ask === "add" && decision === "granted";

  const decide = (event: Event): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    void act(async () => {
      const note = await fileOf(form, "note", NOTE_LIMIT);
      await api.post("requests/decide", {
        number: request.number,
        decision,
        reason_sha256: await digestOf(form, "reason"),
        note: note && text(note),
      });
      onDecided();
    });
  };
  const id = (name: string): string => `request-${request.number}-${name}`;
  return (
    <>
      <h3>
        {request.number}. {t.asks[request.ask]}: {request.by}
      </h3>
      <dl>
        <div>
          <dt>{t.requestReceived}</dt>
          <dd>{moment(language, request.received)}</dd>
        </div>
        {request.open && (
          <div>
            <dt>{t.requestDue}</dt>
            <dd class={request.overdue ? "warn" : ""}>{moment(language, request.due)}</dd>
          </div>
        )}
        {request.recordings.map((one) => (
          <div key={one}>
            <dt>{t.requestAbout}</dt>
            <dd>
              <Named id={one} recordings={recordings} />
            </dd>
          </div>
        ))}
        {request.answers.map((one) => (
          <div key={one.at}>
            <dt>{t.decisions[one.decision] ?? one.decision}</dt>
            <dd>
              {moment(language, one.at)} {t.looksBy(one.by)}
            </dd>
          </div>
        ))}
      </dl>
      {choices.length > 0 && (
        <form onSubmit={decide}>
          <Field id={id("decision")} label={t.requestDecision}>
            <select
              id={id("decision")}
              value={decision}
              onChange={(event) => setDecision(event.currentTarget.value)}
            >
              {choices.map((word) => (
                <option key={word} value={word}>
                  {t.decisions[word] ?? word}
                </option>
              ))}
            </select>
          </Field>
          <Field id={id("reason")} label={t.requestReason} hint={t.requestStays}>
            <input
              id={id("reason")}
              name="reason"
              type="file"
              required={needsReason}
              aria-describedby={`${id("reason")}-hint`}
            />
          </Field>
          {needsNote && (
            <Field id={id("note")} label={t.requestNote} hint={t.requestNoteHint}>
              <input
                id={id("note")}
                name="note"
                type="file"
                required
                aria-describedby={`${id("note")}-hint`}
              />
            </Field>
          )}
          <button disabled={busy}>{t.requestDecide}</button>
        </form>
      )}
      <Failed error={error} />
    </>
  );
}

interface EnterProps {
  api: Api;
  recordings: readonly About[];
  onEntered: () => void;
}

function Enter({ api, recordings, onEntered }: EnterProps) {
  const t = usePagesText();
  const { busy, error, act } = useAction();
  const [ask, setAsk] = useState<Ask>("delete");
  const enter = (event: Event): void => {
    const { by, received } = entries(event);
    const form = event.currentTarget as HTMLFormElement;
    const chosen = new FormData(form).getAll("recording");
    void act(async () => {
      await api.post("requests", {
        ask,
        by,
        recordings: chosen,
        received: received || null,
        text_sha256: await digestOf(form, "text"),
      });
      form.reset();
      setAsk("delete");
      onEntered();
    });
  };
  return (
    <Card title={t.requestEnter}>
      <p>{t.requestEnterHint}</p>
      <form onSubmit={enter}>
        <Field id="request-ask" label={t.requestAsk}>
          <select
            id="request-ask"
            value={ask}
            onChange={(event) => setAsk(event.currentTarget.value as Ask)}
          >
            {Object.entries(t.asks).map(([word, shown]) => (
              <option key={word} value={word}>
                {shown}
              </option>
            ))}
          </select>
        </Field>
        {ask === "restrict" && <p class="notice">{t.requestAtOnce}</p>}
        <Field id="request-by" label={t.requestBy}>
          <input id="request-by" name="by" type="text" required autocapitalize="none" />
        </Field>
        <Field id="request-received" label={t.requestReceived}>
          <input id="request-received" name="received" type="date" />
        </Field>
        <fieldset>
          <legend>{t.requestAbout}</legend>
          {recordings.length === 0 && <p class="hint">{t.requestNoRecordings}</p>}
          {recordings.map(({ id }) => (
            <p key={id}>
              <label>
                <input type="checkbox" name="recording" value={id} />{" "}
                <Named id={id} recordings={recordings} />
              </label>
            </p>
          ))}
        </fieldset>
        <Field id="request-text" label={t.requestText} hint={t.requestStays}>
          <input
            id="request-text"
            name="text"
            type="file"
            required={ask === "add"}
            aria-describedby="request-text-hint"
          />
        </Field>
        <button class="primary" disabled={busy}>
          {t.enter}
        </button>
      </form>
      <Failed error={error} />
    </Card>
  );
}
