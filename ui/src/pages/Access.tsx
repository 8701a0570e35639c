/**
 * Who may look at a recording, for its teacher: giving access, taking it back, and who looked. The
 * recording's key is wrapped and the statement signed in this page; the teacher's key stays here.
 */

import { useContext, useMemo, useState } from "preact/hooks";

import { Problem as RefusedText } from "../parts/Viewer";
import { moment, Spoken } from "../text/language";
import { sha256, toBase64 } from "../viewer/bytes";
import { wrapFor } from "../viewer/keys";
import { check, teachersKey } from "../viewer/recording";
import { refuse } from "../viewer/refused";
import { publicKey, signGrant } from "../viewer/sign";
import { BoxSource, type Api, type RecordingRow } from "./api";
import { Card, entries, Failed, Field, useAction, useLoaded, usePagesText } from "./common";
import { KeyFields, Print, readKeys, useRefusable } from "./own-key";

interface Person {
  readonly person: string;
  readonly role: string;
  readonly recipients: readonly string[];
  readonly signers: readonly string[];
}

interface Grant {
  readonly person: string;
  readonly until: string;
  readonly problem: string | null;
}

interface Line {
  readonly n: number;
  readonly at: string;
  readonly kind: string;
  readonly person: string | null;
  readonly by: string | null;
  readonly until: string | null;
}

interface Answer {
  readonly now: string;
  readonly delete_by: string;
  readonly withheld: boolean;
  readonly recipients: readonly { recipient: string; person: string | null }[];
  readonly grants: readonly Grant[];
  readonly people: readonly Person[];
  readonly signers: readonly string[];
  readonly log: readonly Line[];
}

interface Props {
  api: Api;
  recording: RecordingRow;
  onBack: () => void;
}

export function Access({ api, recording, onBack }: Props) {
  const t = usePagesText();
  const language = useContext(Spoken);
  const path = `recordings/${encodeURIComponent(recording.id)}`;
  const { value, error, again } = useLoaded(() => api.get<Answer>(`${path}/access`), [api, path]);
  const { busy, error: failed, act } = useAction();
  const revoke = (person: string): void => {
    if (!window.confirm(t.revokeSure(person))) return;
    void act(() => api.post(`${path}/revoke`, { person })).then(again);
  };
  return (
    <>
      <p>
        <button type="button" onClick={onBack}>
          {t.backToList}
        </button>
      </p>
      <Card title={t.accessTitle(moment(language, recording.started))}>
        <Failed error={error ?? failed} />
        {!value && error === null && <p role="status">{t.loading}</p>}
        {value && (
          <>
            <h3>{t.accessRecipients}</h3>
            <ul>
              {value.recipients.map((one) => (
                <li key={one.recipient}>
                  {one.person ?? t.accessNobody} <Print of={one.recipient} />
                </li>
              ))}
            </ul>
            <h3>{t.accessGrants}</h3>
            {value.grants.length === 0 && <p class="hint">{t.accessNone}</p>}
            <ul class="cards">
              {value.grants.map((one) => (
                <li key={one.person} data-grant={one.person}>
                  <p>
                    <strong>{one.person}</strong> {t.accessUntil(moment(language, one.until))}
                  </p>
                  {one.problem && <p class="warn">{one.problem}</p>}
                  <button
                    type="button"
                    disabled={busy}
                    onClick={() => revoke(one.person)}
                    data-act="revoke"
                    aria-label={`${t.revoke}: ${one.person}`}
                  >
                    {t.revoke}
                  </button>
                </li>
              ))}
            </ul>
            <p class="hint">{t.revokeHint}</p>
          </>
        )}
      </Card>
      {value && !value.withheld && (
        <Give api={api} recording={recording} known={value} onGiven={again} />
      )}
      {value && (
        <Card title={t.looksTitle}>
          <p class="hint">{t.looksHint}</p>
          <ol class="log" data-looks>
            {[...value.log].reverse().map((line) => (
              <li key={line.n}>
                <span class="hint">{moment(language, line.at)}</span>{" "}
                {t.looks[line.kind] ?? line.kind}
                {line.person && <strong> {line.person}</strong>}
                {line.by && ` ${t.looksBy(line.by)}`}
                {line.until && ` ${t.accessUntil(moment(language, line.until))}`}
              </li>
            ))}
          </ol>
        </Card>
      )}
    </>
  );
}

/** The last moment of a day, here. */
const endOf = (day: string): Date => new Date(`${day}T23:59:59`);

interface GiveProps {
  api: Api;
  recording: RecordingRow;
  known: Answer;
  onGiven: () => void;
}

function Give({ api, recording, known, onGiven }: GiveProps) {
  const t = usePagesText();
  const { busy, error, refusal, act } = useRefusable();
  const [to, setTo] = useState("");
  const source = useMemo(() => new BoxSource(recording.id, api), [recording.id, api]);
  const chosen = known.people.find(({ person }) => person === to);

  const give = (event: Event): void => {
    const { until = "" } = entries(event);
    const form = event.currentTarget as HTMLFormElement;
    void act(async () => {
      if (!chosen) return;
      const by = api.session.person ?? "";
      const own = await readKeys(form);
      // The key that signs has to be one that the directory knows as the teacher's.
      const signing = own.find((key) => known.signers.includes(publicKey(key, by)));
      if (!signing) refuse({ code: "not-your-key" });
      const checked = await check(source, null);
      const { manifest } = checked;
      const ends = Math.min(endOf(until).getTime(), Date.parse(known.delete_by));
      const [from, then] = [known.now, new Date(ends).toISOString()];
      const plain =
        `# classveil recording ${manifest.recording}\n` +
        `# granted to ${chosen.person} until ${then} by ${by}\n` +
        `${await teachersKey(checked, own)}\n`;
      const wrapped = await wrapFor(chosen.recipients, plain);
      const statement = signGrant(
        signing,
        by,
        {
          recording: manifest.recording,
          of: manifest.key.sha256,
          person: chosen.person,
          recipients: chosen.recipients,
          signers: chosen.signers,
          from,
          until: then,
        },
        { bytes: wrapped.length, sha256: await sha256(wrapped) },
      );
      const path = `recordings/${encodeURIComponent(recording.id)}/grants`;
      await api.post(path, { statement, key: toBase64(wrapped) });
      form.reset();
      setTo("");
    }).then(onGiven);
  };

  return (
    <Card title={t.giveTitle}>
      <p>{t.giveHint}</p>
      {known.people.length === 0 ? (
        <p class="hint">{t.giveNobody}</p>
      ) : (
        <form onSubmit={give} autocomplete="off">
          <Field id="grant-to" label={t.giveTo}>
            <select
              id="grant-to"
              name="to"
              required
              value={to}
              onChange={(event) => setTo(event.currentTarget.value)}
            >
              <option value="">…</option>
              {known.people.map(({ person, role }) => (
                <option key={person} value={person}>
                  {person} ({t.roles[role] ?? role})
                </option>
              ))}
            </select>
          </Field>
          {chosen && (
            <p class="hint">
              {t.givePrint}{" "}
              {chosen.recipients.map((one) => (
                <Print key={one} of={one} />
              ))}
            </p>
          )}
          <Field id="grant-until" label={t.giveUntil}>
            <input id="grant-until" name="until" type="date" required />
          </Field>
          <KeyFields id="grant" />
          <button class="primary" disabled={busy}>
            {busy ? t.loading : t.giveDo}
          </button>
        </form>
      )}
      <Failed error={error} />
      {refusal && <RefusedText reason={refusal} />}
    </Card>
  );
}
