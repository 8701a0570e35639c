/** Makes a key pair in the browser. The secret half leaves this page under a passphrase only. */

import { useState } from "preact/hooks";

import { download } from "../parts/Screen";
import { fingerprint, makeKey } from "../viewer/keys";
import { Card, Failed, Field, useAction, usePagesText } from "./common";

const SHORTEST = 20;

export function Keys() {
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
