/** What happened: lately, by the box's own words; and, for the privacy officer, the audit log. */

import { useContext, useState } from "preact/hooks";

import { moment, Spoken } from "../text/language";
import type { Api } from "./api";
import { Card, Facts, Failed, useAction, useLoaded, usePagesText } from "./common";

interface Happened {
  readonly at: string;
  readonly what: string;
}

interface Entry {
  readonly n: number;
  readonly at: string;
  readonly event: { readonly kind: string } & Record<string, unknown>;
}

interface Entries {
  readonly lines: number;
  readonly entries: readonly Entry[];
}

export function Log({ api }: { api: Api }) {
  const t = usePagesText();
  const language = useContext(Spoken);
  const { value, error } = useLoaded(() => api.get<{ lines: readonly Happened[] }>("logs"), [api]);
  return (
    <>
      {api.session.role === "privacy-officer" && <Audit api={api} />}
      <Card title={t.logs}>
        <Failed error={error} />
        <ul class="log">
          {[...(value?.lines ?? [])].reverse().map((line, i) => (
            <li key={i}>
              <span class="hint">{moment(language, line.at)}</span> {line.what}
            </li>
          ))}
        </ul>
      </Card>
    </>
  );
}

function Audit({ api }: { api: Api }) {
  const t = usePagesText();
  const language = useContext(Spoken);
  const [older, setOlder] = useState<readonly Entry[]>([]);
  const { busy, error: failed, act } = useAction();
  const { value, error } = useLoaded(() => api.get<Entries>("audit/entries"), [api]);
  const all = [...older, ...(value?.entries ?? [])];
  const first = all[0]?.n ?? 1;
  return (
    <Card title={t.auditTitle}>
      <p class="hint">{t.auditHint}</p>
      <Failed error={error ?? failed} />
      <ol class="log" reversed>
        {[...all].reverse().map(({ n, at, event: { kind, ...rest } }) => (
          <li key={n} value={n}>
            <details>
              <summary>
                <span class="hint">{moment(language, at)}</span> {kind}
              </summary>
              <Facts of={rest} />
            </details>
          </li>
        ))}
      </ol>
      {first > 1 && (
        <button
          type="button"
          disabled={busy}
          onClick={() =>
            void act(async () => {
              const from = Math.max(1, first - 500);
              const found = await api.get<Entries>(`audit/entries?from=${from}`);
              setOlder([...found.entries.filter(({ n }) => n < first), ...older]);
            })
          }
        >
          {t.more}
        </button>
      )}
    </Card>
  );
}
