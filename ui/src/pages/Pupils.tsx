/** The pupil list: what is in force, and a new one, looked at before it counts. */

import { useContext, useState } from "preact/hooks";

import { moment, Spoken } from "../text/language";
import type { Api } from "./api";
import { Card, Facts, Failed, useAction, useLoaded, usePagesText } from "./common";

interface Person {
  readonly pupil_id: string;
  readonly class: string;
  readonly status: string;
  readonly standing?: string;
  readonly photos: number;
  readonly seats: readonly unknown[];
  readonly marker: number | null;
}

interface InForce {
  readonly version: string | null;
  readonly loaded_at?: string;
  readonly counts?: Record<string, number>;
  readonly means?: Record<string, number>;
  readonly people?: readonly Person[];
  readonly warnings?: { readonly refused_without_photo?: readonly string[] };
}

interface Place {
  readonly file?: string;
  readonly line?: number | null;
  readonly text: string;
}

interface Checked {
  readonly ok: boolean;
  readonly problems: readonly Place[];
  readonly notices?: readonly Place[];
  readonly summary: {
    readonly counts?: Record<string, number>;
    readonly means?: Record<string, number>;
    readonly removals?: number;
  } | null;
}

interface Version {
  readonly at: string;
  readonly version: string;
  readonly classes_with_new_refusals?: readonly string[];
}

export function Pupils({ api }: { api: Api }) {
  const t = usePagesText();
  const language = useContext(Spoken);
  const { value, error, again } = useLoaded(() => api.get<InForce>("pupils"), [api]);
  const versions = useLoaded(() => api.get<{ versions: readonly Version[] }>("pupils/versions"), [
    api,
    value?.version,
  ]);
  return (
    <>
      <Upload api={api} onLoaded={again} />
      <Card title={t.pupilsNow}>
        <Failed error={error} />
        {value?.version === null && <p>{t.pupilsNone}</p>}
        {value?.version && (
          <>
            <p>
              {t.loadedAt}: {value.loaded_at ? moment(language, value.loaded_at) : t.none}
            </p>
            {value.counts && <Facts of={value.counts} names={t.counts} />}
            {value.warnings?.refused_without_photo?.map((who) => (
              <p key={who} class="warn">
                {t.withoutPhoto(who)}
              </p>
            ))}
            <People people={value.people ?? []} />
          </>
        )}
      </Card>
      <Card title={t.versions}>
        <Failed error={versions.error} />
        <ul class="list">
          {versions.value?.versions.map((one) => (
            <li key={one.at}>
              <span>{moment(language, one.at)}</span> <code>{one.version.slice(0, 16)}</code>{" "}
              {(one.classes_with_new_refusals?.length ?? 0) > 0 && (
                <span class="hint">
                  {t.lateClasses} {one.classes_with_new_refusals?.join(", ")}
                </span>
              )}
            </li>
          ))}
        </ul>
      </Card>
    </>
  );
}

function People({ people }: { people: readonly Person[] }) {
  const t = usePagesText();
  const means = (one: Person): string => {
    const has = [
      one.photos > 0 && t.meansNames["photo"],
      one.seats.length > 0 && t.meansNames["seat"],
      one.marker !== null && t.meansNames["marker"],
    ].filter(Boolean);
    return has.length > 0 ? has.join(", ") : (t.meansNames["none"] ?? "");
  };
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t.pupilsTitle}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t.pupil}</th>
            <th scope="col">{t.class}</th>
            <th scope="col">{t.statusWord}</th>
            <th scope="col">{t.means}</th>
          </tr>
        </thead>
        <tbody>
          {people.map((one) => (
            <tr key={one.pupil_id}>
              <th scope="row">{one.pupil_id}</th>
              <td>{one.class}</td>
              <td>{t.statuses[one.status] ?? one.status}</td>
              <td>{means(one)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Upload({ api, onLoaded }: { api: Api; onLoaded: () => void }) {
  const t = usePagesText();
  const { busy, error, act } = useAction();
  const [file, setFile] = useState<File | null>(null);
  const [checked, setChecked] = useState<Checked | null>(null);
  const [loaded, setLoaded] = useState(false);
  const [sure, setSure] = useState(false);
  const [over, setOver] = useState(false);
  const choose = (chosen: File | null | undefined): void => {
    setFile(chosen ?? null);
    setChecked(null);
    setLoaded(false);
    setSure(false);
    if (chosen) {
      void act(async () => setChecked(await api.uploadList<Checked>("pupils/check", chosen)));
    }
  };
  const removals = checked?.summary?.removals ?? 0;
  const load = (): void => {
    if (!file) return;
    void act(async () => {
      const asked = removals > 0 && sure ? `?confirm_removals=${removals}` : "";
      const found = await api.uploadList<Checked>(`pupils/load${asked}`, file);
      if (!found.ok) return setChecked(found);
      setChecked(null);
      setFile(null);
      setLoaded(true);
      onLoaded();
    });
  };
  return (
    <section
      class={`card drop-zone${over ? " over" : ""}`}
      aria-labelledby="upload"
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        choose(event.dataTransfer?.files[0]);
      }}
    >
      <h2 id="upload">{t.pupilsTitle}</h2>
      <label for="zip">{t.zipPick}</label>
      <input
        id="zip"
        type="file"
        accept=".zip,application/zip"
        aria-describedby="zip-hint"
        onChange={(event) => choose(event.currentTarget.files?.[0])}
      />
      <p id="zip-hint" class="hint">
        {t.zipHint}
      </p>
      {busy && <p role="status">{t.loading}</p>}
      {loaded && (
        <p class="good" role="status" data-loaded>
          {t.zipLoaded}
        </p>
      )}
      <Failed error={error} />
      {checked && !checked.ok && (
        <div class="problem" role="alert">
          <p>{t.zipBad(checked.problems.length)}</p>
          <Places places={checked.problems} />
        </div>
      )}
      {checked?.ok && (
        <div role="status" data-checked>
          <p class="good">{t.zipGood}</p>
          {checked.summary?.counts && <Facts of={checked.summary.counts} names={t.counts} />}
          {checked.summary?.means && <Facts of={checked.summary.means} names={t.meansNames} />}
          {(checked.notices?.length ?? 0) > 0 && (
            <>
              <h3>{t.warnings}</h3>
              <Places places={checked.notices ?? []} />
            </>
          )}
          {removals > 0 && (
            <p class="warn">
              {t.removals(removals)}{" "}
              <label>
                <input
                  type="checkbox"
                  checked={sure}
                  onChange={(event) => setSure(event.currentTarget.checked)}
                />{" "}
                {t.removalsSure}
              </label>
            </p>
          )}
          <button
            type="button"
            class="primary"
            disabled={busy || (removals > 0 && !sure)}
            onClick={load}
          >
            {t.zipLoad}
          </button>
        </div>
      )}
    </section>
  );
}

function Places({ places }: { places: readonly Place[] }) {
  const t = usePagesText();
  return (
    <ul>
      {places.map((place, i) => (
        <li key={i}>
          {place.file && <strong>{t.zipLine(place.file, place.line ?? null)}: </strong>}
          {place.text}
        </li>
      ))}
    </ul>
  );
}
