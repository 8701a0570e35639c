/** Forms for which one's key file is needed: the file and its passphrase, and what goes wrong. */

import { useEffect, useState } from "preact/hooks";

import { useViewerText } from "../parts/Viewer";
import { fingerprint, IDENTITY_LIMIT, publicHalf, readIdentities } from "../viewer/keys";
import { refuse, Refused, type Reason } from "../viewer/refused";
import { Field, useAction, usePagesText } from "./common";

interface Key {
  readonly recipient: string;
  readonly from: string;
  readonly counts: boolean;
  readonly accepted_by: readonly string[];
}

export interface Person {
  readonly person: string;
  readonly role: string;
  readonly keys: readonly Key[];
}

export interface People {
  readonly people: readonly Person[];
}

/** The public keys of somebody, those that do not count yet among them. */
export const keysOf = (people: readonly Person[], of: string): readonly string[] =>
  people.find(({ person }) => person === of)?.keys.map(({ recipient }) => recipient) ?? [];

/** A key file and its passphrase, as `readKeys` reads them by that name. */
export function KeyFields({ id, name = "key", label }: { id: string; name?: string; label?: string }) {
  const t = usePagesText();
  const { t: words } = useViewerText();
  return (
    <>
      <Field id={`${id}-key`} label={label ?? t.acceptKeyFile}>
        <input id={`${id}-key`} name={name} type="file" required />
      </Field>
      <Field id={`${id}-passphrase`} label={words.passphrase} hint={words.passphraseHint}>
        <input
          id={`${id}-passphrase`}
          name={`${name}-passphrase`}
          type="password"
          autocomplete="off"
          aria-describedby={`${id}-passphrase-hint`}
        />
      </Field>
    </>
  );
}

/** The secret keys that a form holds. They live as long as whoever asked for them looks. */
export async function readKeys(form: HTMLFormElement, name = "key"): Promise<readonly string[]> {
  const data = new FormData(form);
  const file = data.get(name);
  if (!(file instanceof File) || file.size === 0 || file.size > IDENTITY_LIMIT) {
    throw new Refused({ code: "bad-identity" });
  }
  // Lets the browser show that something happens before a second of arithmetic.
  await new Promise((done) => setTimeout(done, 20));
  const bytes = new Uint8Array(await file.arrayBuffer());
  return readIdentities(bytes, String(data.get(`${name}-passphrase`) ?? ""));
}

/** The first of the secret keys in a form whose public half is among `known`. */
export async function keyAmong(form: HTMLFormElement, known: readonly string[], name = "key"): Promise<string> {
  const keys = await readKeys(form, name);
  const halves = await Promise.all(keys.map(publicHalf));
  return keys[halves.findIndex((half) => known.includes(half))] ?? refuse({ code: "not-your-key" });
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
