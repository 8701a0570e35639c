/** The registers: what the school has on record, and entering more. */

import { useContext, useState } from "preact/hooks";

import { moment, Spoken } from "../text/language";
import { sha256 } from "../viewer/bytes";
import type { Api } from "./api";
import { Card, entries, Facts, Failed, Field, useAction, useLoaded, usePagesText } from "./common";

interface Line {
  readonly n: number;
  readonly at: string;
  readonly entry: Record<string, unknown>;
}

type Registers = Record<string, readonly Line[] | readonly string[] | undefined>;

export function Papers({ api }: { api: Api }) {
  const t = usePagesText();
  const { value, error, again } = useLoaded(() => api.get<Registers>("registers"), [api]);
  const role = api.session.role;
  const untold = (value?.["untold"] ?? []) as readonly string[];
  return (
    <>
      {role === "admin" && <Reminder api={api} onEntered={again} />}
      {role === "admin" && <Notice api={api} untold={untold} onEntered={again} />}
      <Assessment api={api} onEntered={again} />
      <Card title={t.papersTitle}>
        <Failed error={error} />
        {value &&
          ["assessments", "reminders", "notices", "acceptances"].map((name) => (
            <Register key={name} name={name} lines={(value[name] ?? []) as readonly Line[]} />
          ))}
      </Card>
    </>
  );
}

export function Register({ name, lines }: { name: string; lines: readonly Line[] }) {
  const t = usePagesText();
  const language = useContext(Spoken);
  return (
    <>
      <h3>{t.registerNames[name] ?? name}</h3>
      {lines.length === 0 && <p class="hint">{t.papersEmpty}</p>}
      <ol class="entries">
        {[...lines].reverse().map((line) => (
          <li key={line.n}>
            <p class="hint">{moment(language, line.at)}</p>
            <Facts of={line.entry} />
          </li>
        ))}
      </ol>
    </>
  );
}

/** The digest of a file that stays here. */
async function digestOf(event: Event, name: string): Promise<string> {
  const file = new FormData(event.currentTarget as HTMLFormElement).get(name);
  if (!(file instanceof File) || file.size === 0) throw new Error(name);
  return sha256(new Uint8Array(await file.arrayBuffer()));
}

interface FormProps {
  api: Api;
  onEntered: () => void;
}

/** Enters something and says so. */
function useEntry({ onEntered }: FormProps) {
  const { busy, error, act } = useAction();
  const [done, setDone] = useState(false);
  const enter = async (what: () => Promise<unknown>): Promise<void> => {
    setDone(false);
    if (await act(what)) {
      setDone(true);
      onEntered();
    }
  };
  return { busy, error, done, enter };
}

function Ended({ done, error }: { done: boolean; error: unknown }) {
  const t = usePagesText();
  return (
    <>
      {done && (
        <p class="good" role="status">
          {t.entered}
        </p>
      )}
      <Failed error={error} />
    </>
  );
}

function Reminder(props: FormProps) {
  const t = usePagesText();
  const { busy, error, done, enter } = useEntry(props);
  return (
    <Card title={t.reminderTitle}>
      <form
        onSubmit={(event) => {
          const { on, channel } = entries(event);
          const text = digestOf(event, "text");
          void enter(async () =>
            props.api.post("registers/reminder", { on, channel, text_sha256: await text }),
          );
        }}
      >
        <Field id="reminder-on" label={t.reminderOn}>
          <input id="reminder-on" name="on" type="date" required />
        </Field>
        <Field id="reminder-channel" label={t.reminderHow}>
          <select id="reminder-channel" name="channel">
            {Object.entries(t.channels).map(([word, shown]) => (
              <option key={word} value={word}>
                {shown}
              </option>
            ))}
          </select>
        </Field>
        <Field id="reminder-text" label={t.reminderText}>
          <input id="reminder-text" name="text" type="file" required />
        </Field>
        <button class="primary" disabled={busy}>
          {t.enter}
        </button>
      </form>
      <Ended done={done} error={error} />
    </Card>
  );
}

function Notice(props: FormProps & { untold: readonly string[] }) {
  const t = usePagesText();
  const { busy, error, done, enter } = useEntry(props);
  return (
    <Card title={t.noticeTitle}>
      {props.untold.length > 0 && (
        <p class="warn">{t.untold(props.untold.map((who) => t.audiences[who] ?? who).join(", "))}</p>
      )}
      <form
        onSubmit={(event) => {
          const { audience } = entries(event);
          const text = digestOf(event, "text");
          void enter(async () =>
            props.api.post("registers/notice", { audience, text_sha256: await text }),
          );
        }}
      >
        <Field id="notice-audience" label={t.noticeWho}>
          <select id="notice-audience" name="audience">
            {Object.entries(t.audiences).map(([word, shown]) => (
              <option key={word} value={word}>
                {shown}
              </option>
            ))}
          </select>
        </Field>
        <Field id="notice-text" label={t.reminderText}>
          <input id="notice-text" name="text" type="file" required />
        </Field>
        <button class="primary" disabled={busy}>
          {t.enter}
        </button>
      </form>
      <Ended done={done} error={error} />
    </Card>
  );
}

function Assessment(props: FormProps) {
  const t = usePagesText();
  const { busy, error, done, enter } = useEntry(props);
  return (
    <Card title={t.assessmentTitle}>
      <form
        onSubmit={(event) => {
          const { reference, by, review } = entries(event);
          void enter(() => props.api.post("registers/assessment", { reference, by, review }));
        }}
      >
        <Field id="assessment-reference" label={t.assessmentRef}>
          <input id="assessment-reference" name="reference" type="text" required maxLength={200} />
        </Field>
        <Field id="assessment-by" label={t.assessmentBy}>
          <input id="assessment-by" name="by" type="text" required autocapitalize="none" />
        </Field>
        <Field id="assessment-review" label={t.assessmentUntil}>
          <input id="assessment-review" name="review" type="date" required />
        </Field>
        <button class="primary" disabled={busy}>
          {t.enter}
        </button>
      </form>
      <Ended done={done} error={error} />
    </Card>
  );
}
