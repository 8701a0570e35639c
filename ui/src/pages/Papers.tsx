/** The registers: what the school has on record, and entering more. */

import type { ComponentChildren } from "preact";
import { useContext, useState } from "preact/hooks";

import { moment, Spoken } from "../text/language";
import type { Api } from "./api";
import {
  Card,
  digestOf,
  entries,
  Facts,
  Failed,
  Field,
  useAction,
  useLoaded,
  usePagesText,
} from "./common";

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

interface EntryProps extends FormProps {
  title: string;
  /** The register; the inputs have the names of its members. */
  register: "reminder" | "notice" | "assessment";
  /** Whether it is about a text, which stays here: its digest is entered. */
  about?: "text";
  children: ComponentChildren;
}

interface FormProps {
  api: Api;
  onEntered: () => void;
}

/** A form that enters something into a register, and says so. */
function Entry({ api, onEntered, title, register, about, children }: EntryProps) {
  const t = usePagesText();
  const { busy, error, act } = useAction();
  const [done, setDone] = useState(false);
  const enter = (event: Event): void => {
    const values = entries(event);
    const form = event.currentTarget as HTMLFormElement;
    setDone(false);
    void act(async () => {
      const digest = about && { text_sha256: await digestOf(form, about) };
      await api.post(`registers/${register}`, { ...values, ...digest });
      setDone(true);
      onEntered();
    });
  };
  const id = `${register}-text`;
  return (
    <Card title={title}>
      <form onSubmit={enter}>
        {children}
        {about && (
          <Field id={id} label={t.reminderText}>
            <input id={id} name={about} type="file" required />
          </Field>
        )}
        <button class="primary" disabled={busy}>
          {t.enter}
        </button>
      </form>
      {done && (
        <p class="good" role="status">
          {t.entered}
        </p>
      )}
      <Failed error={error} />
    </Card>
  );
}

/** A choice among the words of a register. */
function Choice({ id, name, of }: { id: string; name: string; of: Record<string, string> }) {
  return (
    <select id={id} name={name}>
      {Object.entries(of).map(([word, shown]) => (
        <option key={word} value={word}>
          {shown}
        </option>
      ))}
    </select>
  );
}

function Reminder(props: FormProps) {
  const t = usePagesText();
  return (
    <Entry {...props} title={t.reminderTitle} register="reminder" about="text">
      <Field id="reminder-on" label={t.reminderOn}>
        <input id="reminder-on" name="on" type="date" required />
      </Field>
      <Field id="reminder-channel" label={t.reminderHow}>
        <Choice id="reminder-channel" name="channel" of={t.channels} />
      </Field>
    </Entry>
  );
}

function Notice({ untold, ...props }: FormProps & { untold: readonly string[] }) {
  const t = usePagesText();
  return (
    <Entry {...props} title={t.noticeTitle} register="notice" about="text">
      {untold.length > 0 && (
        <p class="warn">{t.untold(untold.map((who) => t.audiences[who] ?? who).join(", "))}</p>
      )}
      <Field id="notice-audience" label={t.noticeWho}>
        <Choice id="notice-audience" name="audience" of={t.audiences} />
      </Field>
    </Entry>
  );
}

function Assessment(props: FormProps) {
  const t = usePagesText();
  return (
    <Entry {...props} title={t.assessmentTitle} register="assessment">
      <Field id="assessment-reference" label={t.assessmentRef}>
        <input id="assessment-reference" name="reference" type="text" required maxLength={200} />
      </Field>
      <Field id="assessment-by" label={t.assessmentBy}>
        <input id="assessment-by" name="by" type="text" required autocapitalize="none" />
      </Field>
      <Field id="assessment-review" label={t.assessmentUntil}>
        <input id="assessment-review" name="review" type="date" required />
      </Field>
    </Entry>
  );
}
