/** Logging in, and the first administrator's account. */

import { useState } from "preact/hooks";

import { logIn, setUp, type Session } from "./api";
import { Card, entries, Failed, Field, useAction, usePagesText } from "./common";

export function Login({ onLoggedIn }: { onLoggedIn: (session: Session) => void }) {
  const t = usePagesText();
  const [first, setFirst] = useState(false);
  const [made, setMade] = useState(false);
  const { busy, error, act } = useAction();
  if (first) {
    return (
      <Card title={t.setupTitle}>
        <p class="hint">{t.setupHint}</p>
        <form
          onSubmit={(event) => {
            const { code = "", name = "" } = entries(event);
            const password = passwordIn(event);
            void act(() => setUp(code, name, password)).then((done) => {
              if (!done) return;
              setMade(true);
              setFirst(false);
            });
          }}
        >
          <Field id="code" label={t.setupCode}>
            <input id="code" name="code" type="text" required autocomplete="one-time-code" />
          </Field>
          <Field id="name" label={t.name}>
            <input id="name" name="name" type="text" required autocomplete="username" />
          </Field>
          <Field id="password" label={t.password}>
            <input id="password" name="password" type="password" required autocomplete="new-password" />
          </Field>
          <div class="row">
            <button class="primary" disabled={busy}>
              {t.setupDo}
            </button>
            <button type="button" onClick={() => setFirst(false)}>
              {t.backToLogin}
            </button>
          </div>
        </form>
        <Failed error={error} />
      </Card>
    );
  }
  return (
    <Card title={t.login}>
      {made && <p role="status">{t.setupDone}</p>}
      <form
        onSubmit={(event) => {
          const { name = "" } = entries(event);
          const password = passwordIn(event);
          void act(async () => onLoggedIn(await logIn(name, password)));
        }}
      >
        <Field id="name" label={t.name}>
          <input id="name" name="name" type="text" required autocomplete="username" />
        </Field>
        <Field id="password" label={t.password}>
          <input
            id="password"
            name="password"
            type="password"
            required
            autocomplete="current-password"
          />
        </Field>
        <button class="primary" disabled={busy}>
          {t.login}
        </button>
      </form>
      <Failed error={error} />
      <p>
        <button type="button" onClick={() => setFirst(true)}>
          {t.setupLink}
        </button>
      </p>
    </Card>
  );
}

/** As typed: a blank at its end belongs to a password. */
function passwordIn(event: Event): string {
  const value = new FormData(event.currentTarget as HTMLFormElement).get("password");
  return typeof value === "string" ? value : "";
}
