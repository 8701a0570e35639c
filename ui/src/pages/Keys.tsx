/**
 * Keys of people: making one, and a teacher's word on a coach's. The secret half leaves this page under a
 * passphrase only.
 */

import { useContext, useState } from "preact/hooks";

import { Problem as RefusedText } from "../parts/Viewer";
import { download } from "../parts/Screen";
import { moment, Spoken } from "../text/language";
import { fingerprint, makeKey } from "../viewer/keys";
import { signApproval } from "../viewer/sign";
import type { Api } from "./api";
import { Card, Failed, Field, useAction, useLoaded, usePagesText } from "./common";
import { Approve, End, Enrol } from "./key-changes";
import { keyAmong, KeyFields, keysOf, Print, useRefusable, type People, type Person } from "./own-key";

const SHORTEST = 20;

export function Keys({ api }: { api: Api }) {
  const { value, error, again } = useLoaded(() => api.get<People>("people"), [api]);
  const people = value?.people ?? [];
  return (
    <>
      <Make />
      <Enrol api={api} own={keysOf(people, api.own)} onEnrolled={again} />
      {api.session.role === "teacher" && <Accept api={api} people={people} onAccepted={again} />}
      {["teacher", "privacy-officer"].includes(api.session.role) && (
        <Approve api={api} people={people} />
      )}
      <End api={api} own={keysOf(people, api.own)} onEnded={again} />
      <Directory people={people} error={error} />
    </>
  );
}

/** Whose key is whose, to compare with what people say. */
function Directory({ people, error }: { people: readonly Person[]; error: unknown }) {
  const t = usePagesText();
  const language = useContext(Spoken);
  return (
    <Card title={t.peopleTitle}>
      <Failed error={error} />
      {people.length === 0 && error === null && <p class="hint">{t.peopleNone}</p>}
      <ul class="entries">
        {people.map(({ person, role, keys }) => (
          <li key={person} data-person={person}>
            <strong>{person}</strong> ({t.roles[role] ?? role})
            <ul>
              {keys.map(({ recipient, from, counts, accepted_by }) => (
                <li key={recipient} data-counts={counts}>
                  <Print of={recipient} /> {!counts && t.keyWaits(moment(language, from))}{" "}
                  {accepted_by.length > 0 && t.keyAccepted(accepted_by.join(", "))}
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </Card>
  );
}

interface AcceptProps {
  api: Api;
  people: readonly Person[];
  onAccepted: () => void;
}

/** A coach's key among the recipients of one's own recordings, by one's signature. */
function Accept({ api, people, onAccepted }: AcceptProps) {
  const t = usePagesText();
  const { busy, error, refusal, act } = useRefusable();
  const own = api.own;
  const waiting = people
    .filter(({ person, role }) => role === "coach" && person !== own)
    .flatMap(({ person, keys }) =>
      keys
        .filter((key) => !key.accepted_by.includes(own))
        .map(({ recipient }) => ({ person, recipient })),
    );
  const [chosen, setChosen] = useState("");
  const one = waiting.find(({ recipient }) => recipient === chosen);
  const accept = (event: Event): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    void act(async () => {
      if (!one) return;
      const { people } = await api.get<People>("people");
      const key = await keyAmong(form, keysOf(people, own));
      const statement = signApproval(key, own, one.person, one.recipient);
      await api.post("keys/accept", { statement });
      form.reset();
      setChosen("");
    }).then(onAccepted);
  };
  if (waiting.length === 0) return null;
  return (
    <Card title={t.coachKeyTitle}>
      <p>{t.coachKeyHint}</p>
      <form onSubmit={accept} autocomplete="off">
        <Field id="approve-whose" label={t.coachKey}>
          <select
            id="approve-whose"
            required
            value={chosen}
            onChange={(event) => setChosen(event.currentTarget.value)}
          >
            <option value="">…</option>
            {waiting.map(({ person, recipient }) => (
              <option key={recipient} value={recipient}>
                {person}: {recipient.slice(0, 12)}…
              </option>
            ))}
          </select>
        </Field>
        {one && (
          <p class="hint">
            {t.givePrint} <Print of={one.recipient} />
          </p>
        )}
        <KeyFields id="approve" />
        <button class="primary" disabled={busy}>
          {busy ? t.loading : t.coachKeyDo}
        </button>
      </form>
      <Failed error={error} />
      {refusal && <RefusedText reason={refusal} />}
    </Card>
  );
}

function Make() {
  const t = usePagesText();
  const { busy, error, act } = useAction();
  const [made, setMade] = useState<{ recipient: string; print: string } | null>(null);
  const [wrong, setWrong] = useState<string | null>(null);
  const make = (event: Event): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const data = new FormData(form);
    const passphrase = String(data.get("passphrase") ?? "");
    const problem =
      passphrase.length < SHORTEST
        ? t.keyShort
        : passphrase !== data.get("again")
          ? t.keyDiffers
          : null;
    setWrong(problem);
    if (problem) return;
    void act(async () => {
      await new Promise((done) => setTimeout(done, 20));
      const { recipient, file } = await makeKey(passphrase, new Date());
      download("my-classveil.key", new TextEncoder().encode(file));
      setMade({ recipient, print: await fingerprint(recipient) });
      form.reset();
    });
  };
  return (
    <Card title={t.keysTitle}>
      <p>{t.keysHint}</p>
      <form onSubmit={make} autocomplete="off">
        <Field id="passphrase" label={t.keyPassphrase}>
          <input
            id="passphrase"
            name="passphrase"
            type="password"
            required
            autocomplete="off"
            aria-invalid={wrong !== null}
          />
        </Field>
        <Field id="again" label={t.keyAgain}>
          <input id="again" name="again" type="password" required autocomplete="off" />
        </Field>
        {wrong && (
          <p class="problem" role="alert">
            {wrong}
          </p>
        )}
        <button class="primary" disabled={busy}>
          {busy ? t.loading : t.keyMake}
        </button>
      </form>
      <Failed error={error} />
      {made && (
        <div role="status">
          <p class="good">{t.keyMade}</p>
          <dl>
            <div>
              <dt>{t.keyPublic}</dt>
              <dd>
                <code data-recipient>{made.recipient}</code>
              </dd>
            </div>
            <div>
              <dt>{t.keyFingerprint}</dt>
              <dd>
                <code>{made.print}</code>
              </dd>
            </div>
          </dl>
        </div>
      )}
    </Card>
  );
}
