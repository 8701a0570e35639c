/** The teacher's page: whether to be recorded at all, and what is kept. */

import { base64, text } from "../viewer/bytes";
import { decrypt, publicHalf } from "../viewer/keys";
import { refuse } from "../viewer/refused";
import { Problem as RefusedText } from "../parts/Viewer";
import type { Api } from "./api";
import { Card, entries, Facts, Failed, Field, useAction, useLoaded, usePagesText } from "./common";
import { KeyFields, readKeys, useRefusable } from "./own-key";
import { Openers } from "./Openers";
import { Register } from "./Papers";
import { Preview } from "./Preview";
import { useStatus } from "./status";

interface Line {
  readonly n: number;
  readonly at: string;
  readonly entry: { accepted?: object; asked?: object; withdrawn?: object };
}

export function Teacher({ api }: { api: Api }) {
  const t = usePagesText();
  const { status } = useStatus(api);
  const { busy, error, act } = useAction();
  const own = status?.lesson?.teacher === api.session.person;
  const running = own && (status?.state === "recording" || status?.state === "arming");
  const terms = useLoaded(() => api.get<Record<string, unknown>>("terms"), [api]);
  return (
    <>
      {own && !running && status?.lesson && (
        <section class="card now" data-state={status.state} aria-labelledby="now">
          <h2 id="now" aria-live="polite">
            {t.states[status.state]}
          </h2>
          <Openers lesson={status.lesson} />
        </section>
      )}
      {running && status?.lesson && (
        <>
          <section class="card now" data-state={status.state} aria-labelledby="now">
            <h2 id="now" aria-live="assertive">
              {t.states[status.state]}
            </h2>
            <button
              type="button"
              class="big stop"
              disabled={busy}
              onClick={() => void act(() => api.post("recordings/stop", { objection: false }))}
            >
              {t.stop}
            </button>
            <button
              type="button"
              class="big object"
              disabled={busy}
              onClick={() => {
                if (window.confirm(t.objectSure)) {
                  void act(() => api.post("recordings/stop", { objection: true }));
                }
              }}
            >
              {t.object}
            </button>
            <p class="hint">{t.objectHint}</p>
            <Failed error={error} />
            <Openers lesson={status.lesson} />
          </section>
          <Preview cameras={status.cameras.map((one) => one.camera)} />
        </>
      )}
      <Accept api={api} />
      <Card title={t.keptTitle}>
        <ul>
          {t.keptLines.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
        <h3>{t.terms}</h3>
        <Failed error={terms.error} />
        {terms.value && <Terms terms={terms.value} />}
      </Card>
    </>
  );
}

function Terms({ terms }: { terms: Record<string, unknown> }) {
  const t = usePagesText();
  const { digest: _, longest_s, retain_s, confirm_by_button: __, ...rest } = terms;
  const span = (seconds: unknown, unit: number, word: string): string =>
    `${Math.round(Number(seconds) / unit)} ${word}`;
  return (
    <Facts
      of={{ ...rest, retain: span(retain_s, 86_400, "d"), longest: span(longest_s, 60, "min") }}
      names={t.termNames}
    />
  );
}

function Accept({ api }: { api: Api }) {
  const t = usePagesText();
  const found = useLoaded(() => api.get<{ acceptances: readonly Line[] }>("registers"), [api]);
  const { busy, error, refusal, act } = useRefusable();
  const lines = found.value?.acceptances ?? [];
  const accepted = lines.at(-1)?.entry.accepted !== undefined;

  const accept = (event: Event): void => {
    const { coach = "" } = entries(event);
    const form = event.currentTarget as HTMLFormElement;
    void act(async () => {
      const key = (await readKeys(form))[0] ?? "";
      const recipient = await publicHalf(key);
      // The box asks with a word that only this key can read: that the key is there is the yes.
      const { question } = await api.post<{ question: string }>("registers/acceptance", {
        step: "ask",
        coach: coach || null,
        recipient,
      });
      const sealed = base64(question);
      const word = sealed && (await decrypt([key], sealed));
      if (!word) return refuse({ code: "wrong-key" });
      await api.post("registers/acceptance", { step: "answer", word: text(word) });
      form.reset();
    }).then(found.again);
  };

  return (
    <Card title={t.acceptTitle}>
      <p>{t.acceptHint}</p>
      <p role="status" class={accepted ? "good" : ""} data-accepted={accepted}>
        {accepted ? t.acceptIs : t.acceptIsNot}
      </p>
      {accepted ? (
        <button
          type="button"
          disabled={busy}
          onClick={() =>
            void act(() => api.post("registers/acceptance", { step: "withdraw" })).then(found.again)
          }
        >
          {t.acceptWithdraw}
        </button>
      ) : (
        <form onSubmit={accept} autocomplete="off">
          <Field id="accept-coach" label={t.acceptCoach}>
            <input id="accept-coach" name="coach" type="text" autocapitalize="none" />
          </Field>
          <KeyFields id="accept" />
          <button class="primary" disabled={busy}>
            {t.acceptDo}
          </button>
        </form>
      )}
      <Failed error={error ?? found.error} />
      {refusal && <RefusedText reason={refusal} />}
      <Register name="acceptances" lines={lines as never} />
    </Card>
  );
}
