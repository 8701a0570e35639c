/** Forms for which one's key file is needed: the file and its passphrase, and what goes wrong. */

import { useEffect, useState } from "preact/hooks";

import { useViewerText } from "../parts/Viewer";
import { fingerprint, IDENTITY_LIMIT, readIdentities } from "../viewer/keys";
import { Refused, type Reason } from "../viewer/refused";
import { Field, useAction, usePagesText } from "./common";

/** The key file and its passphrase, as `readKeys` reads them. */
export function KeyFields({ id }: { id: string }) {
  const t = usePagesText();
  const { t: words } = useViewerText();
  return (
    <>
      <Field id={`${id}-key`} label={t.acceptKeyFile}>
        <input id={`${id}-key`} name="key" type="file" required />
      </Field>
      <Field id={`${id}-passphrase`} label={words.passphrase} hint={words.passphraseHint}>
        <input
          id={`${id}-passphrase`}
          name="passphrase"
          type="password"
          autocomplete="off"
          aria-describedby={`${id}-passphrase-hint`}
        />
      </Field>
    </>
  );
}

/** The secret keys that a form holds. They live as long as whoever asked for them looks. */
export async function readKeys(form: HTMLFormElement): Promise<readonly string[]> {
  const data = new FormData(form);
  const file = data.get("key");
  if (!(file instanceof File) || file.size === 0 || file.size > IDENTITY_LIMIT) {
    throw new Refused({ code: "bad-identity" });
  }
  // Lets the browser show that something happens before a second of arithmetic.
  await new Promise((done) => setTimeout(done, 20));
  const bytes = new Uint8Array(await file.arrayBuffer());
  return readIdentities(bytes, String(data.get("passphrase") ?? ""));
}

/** Like `useAction`, for what the viewer's own code may refuse, too. */
export function useRefusable() {
  const { busy, error, act } = useAction();
  const [refusal, setRefusal] = useState<Reason | null>(null);
  const what = (todo: () => Promise<unknown>): Promise<boolean> => {
    setRefusal(null);
    return act(async () => {
      try {
        await todo();
      } catch (problem) {
        if (!(problem instanceof Refused)) throw problem;
        setRefusal(problem.reason);
      }
    });
  };
  return { busy, error, refusal, act: what };
}

/** A public key as two people read it to each other. */
export function Print({ of }: { of: string }) {
  const [print, setPrint] = useState("");
  useEffect(() => {
    void fingerprint(of).then(setPrint);
  }, [of]);
  return <code>{print}</code>;
}
