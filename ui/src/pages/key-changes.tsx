/**
 * How a person's keys change: a key is enrolled, another one vouched for, one ended. What is signed is
 * signed in this page; secret keys stay in it.
 */

import { useState } from "preact/hooks";

import { download } from "../parts/Screen";
import { Problem as RefusedText } from "../parts/Viewer";
import { base64, text, utf8 } from "../viewer/bytes";
import { decrypt, fingerprint, publicHalf } from "../viewer/keys";
import { refuse } from "../viewer/refused";
import { readChallenge, signAnswer, signApproval, signKeyEnd } from "../viewer/sign";
import type { Api } from "./api";
import { Card, entries, Failed, Field, usePagesText } from "./common";
import {
  keyAmong,
  KeyFields,
  keysOf,
  Print,
  readKeys,
  useRefusable,
  type People,
  type Person,
} from "./own-key";

/** Who vouches that a key is its owner's. */
type Way = "first" | "older" | "approved";

/** Longest approval in bytes. */
const NOTE_LIMIT = 8 << 10;

interface EnrolProps {
  api: Api;
  own: readonly string[];
  onEnrolled: () => void;
}

/** A key that its owner has, and what shows whose it is. */
export function Enrol({ api, own, onEnrolled }: EnrolProps) {
  const t = usePagesText();
  const { busy, error, refusal, act } = useRefusable();
  const [print, setPrint] = useState<string | null>(null);
  const [chosen, setChosen] = useState<Way | null>(null);
  const way = chosen ?? (own.length === 0 ? "first" : "older");
  const enrol = (event: Event): void => {
    const { code = "", replaces = "" } = entries(event);
    const form = event.currentTarget as HTMLFormElement;
    setPrint(null);
    void act(async () => {
      const key = (await readKeys(form))[0] ?? "";
      const older = way === "older" ? await keyAmong(form, own, "older") : null;
      const approvals = await notesOf(form);
      const recipient = await publicHalf(key);
      const path = "keys/challenge";
      const { challenge } = await api.post<{ challenge: string }>(path, { recipient, code: code || null });
      const sealed = base64(challenge);
      const opened = sealed && (await decrypt([key], sealed));
      const asked = opened && readChallenge(text(opened));
      const by = api.own;
      // What is signed is looked at first: it has to be about this very key and person.
      if (!asked || asked.person !== by || asked.recipient !== recipient) {
        return refuse({ code: "wrong-key" });
      }
      const answer = signAnswer(key, { by, recipient, answer: asked.answer, older });
      await api.post("keys/enrol", { answer, replaces: replaces || null, approvals });
      form.reset();
      setChosen(null);
      setPrint(await fingerprint(recipient));
    }).then(onEnrolled);
  };
  return (
    <Card title={t.enrolTitle}>
      <p>{t.enrolHint}</p>
      <form onSubmit={enrol} autocomplete="off">
        <Field id="enrol-way" label={t.enrolWay} hint={t.enrolWays[way].hint}>
          <select
            id="enrol-way"
            value={way}
            aria-describedby="enrol-way-hint"
            onChange={(event) => setChosen(event.currentTarget.value as Way)}
          >
            {(Object.keys(t.enrolWays) as Way[]).map((one) => (
              <option key={one} value={one}>
                {t.enrolWays[one].word}
              </option>
            ))}
          </select>
        </Field>
        {way !== "older" && (
          <Field id="enrol-code" label={t.enrolCode}>
            <input id="enrol-code" name="code" type="text" required autocapitalize="characters" />
          </Field>
        )}
        <KeyFields id="enrol" label={t.enrolNew} />
        {way === "older" && <KeyFields id="older" name="older" label={t.enrolOlder} />}
        {way === "approved" && (
          <Field id="enrol-approvals" label={t.enrolApprovals} hint={t.enrolApprovalsHint}>
            <input
              id="enrol-approvals"
              name="approvals"
              type="file"
              multiple
              required
              aria-describedby="enrol-approvals-hint"
            />
          </Field>
        )}
        {way !== "first" && own.length > 0 && (
          <Field id="enrol-replaces" label={t.enrolReplaces}>
            <OwnKeys id="enrol-replaces" name="replaces" own={own} none={t.enrolBoth} />
          </Field>
        )}
        <button class="primary" disabled={busy}>
          {busy ? t.loading : t.enrolDo}
        </button>
      </form>
      {print !== null && (
        <p class="good" role="status" data-enrolled>
          {t.enrolled} <code>{print}</code>
        </p>
      )}
      <Failed error={error} />
      {refusal && <RefusedText reason={refusal} />}
    </Card>
  );
}

/** What others signed, as their pages saved it. */
async function notesOf(form: HTMLFormElement): Promise<string[]> {
  const files = new FormData(form).getAll("approvals");
  const notes = files.filter((file) => file instanceof File && file.size > 0 && file.size < NOTE_LIMIT);
  return Promise.all(notes.map((file) => (file as File).text()));
}

interface OwnKeysProps {
  id: string;
  name: string;
  own: readonly string[];
  none: string;
}

function OwnKeys({ id, name, own, none }: OwnKeysProps) {
  return (
    <select id={id} name={name} required={none === "…"}>
      <option value="">{none}</option>
      {own.map((recipient) => (
        <option key={recipient} value={recipient}>
          {recipient.slice(0, 16)}…{recipient.slice(-6)}
        </option>
      ))}
    </select>
  );
}

/** One's word that a new key is somebody else's, who has no older one to sign with. */
export function Approve({ api, people }: { api: Api; people: readonly Person[] }) {
  const t = usePagesText();
  const { busy, error, refusal, act } = useRefusable();
  const [recipient, setRecipient] = useState("");
  const [saved, setSaved] = useState(false);
  const approve = (event: Event): void => {
    const { person = "" } = entries(event);
    const form = event.currentTarget as HTMLFormElement;
    setSaved(false);
    void act(async () => {
      const found = await api.get<People>("people");
      const key = await keyAmong(form, keysOf(found.people, api.own));
      const note = signApproval(key, api.own, person, recipient.trim());
      download(`${person}-by-${api.own}.note`, utf8(note));
      form.reset();
      setRecipient("");
      setSaved(true);
    });
  };
  const isKey = /^\s*age1[0-9a-z]{58}\s*$/.test(recipient);
  return (
    <Card title={t.vouchTitle}>
      <p>{t.vouchHint}</p>
      {api.session.role === "teacher" && <p data-accepts>{t.vouchAccepts}</p>}
      <form onSubmit={approve} autocomplete="off">
        <Field id="vouch-whose" label={t.coachKey}>
          <select id="vouch-whose" name="person" required>
            <option value="">…</option>
            {people
              .filter(({ person }) => person !== api.own)
              .map(({ person, role }) => (
                <option key={person} value={person}>
                  {person} ({t.roles[role] ?? role})
                </option>
              ))}
          </select>
        </Field>
        <Field id="vouch-recipient" label={t.vouchRecipient}>
          <input
            id="vouch-recipient"
            type="text"
            required
            pattern="\s*age1[0-9a-z]{58}\s*"
            value={recipient}
            autocapitalize="none"
            onInput={(event) => setRecipient(event.currentTarget.value)}
          />
        </Field>
        {isKey && (
          <p class="hint">
            {t.givePrint} <Print of={recipient.trim()} />
          </p>
        )}
        <KeyFields id="vouch" />
        <button disabled={busy}>{busy ? t.loading : t.vouchDo}</button>
      </form>
      {saved && (
        <p class="good" role="status" data-vouched>
          {t.vouched}
        </p>
      )}
      <Failed error={error} />
      {refusal && <RefusedText reason={refusal} />}
    </Card>
  );
}

/** A key of one's own that is not to count any more. */
export function End({ api, own, onEnded }: { api: Api; own: readonly string[]; onEnded: () => void }) {
  const t = usePagesText();
  const { busy, error, refusal, act } = useRefusable();
  const end = (event: Event): void => {
    const { recipient = "" } = entries(event);
    const form = event.currentTarget as HTMLFormElement;
    if (!window.confirm(t.endSure)) return;
    void act(async () => {
      const key = await keyAmong(form, own);
      await api.post("keys/end", { statement: signKeyEnd(key, api.own, recipient) });
      form.reset();
    }).then(onEnded);
  };
  if (own.length === 0) return null;
  return (
    <Card title={t.endTitle}>
      <p>{t.endHint}</p>
      <form onSubmit={end} autocomplete="off">
        <Field id="end-which" label={t.endWhich}>
          <OwnKeys id="end-which" name="recipient" own={own} none="…" />
        </Field>
        <KeyFields id="end" label={t.endWith} />
        <button disabled={busy}>{busy ? t.loading : t.endDo}</button>
      </form>
      <Failed error={error} />
      {refusal && <RefusedText reason={refusal} />}
    </Card>
  );
}
