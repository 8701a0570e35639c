/** What several pages use: words, what the box answered, and what went wrong. */

import type { ComponentChildren } from "preact";
import { useCallback, useContext, useEffect, useState } from "preact/hooks";

import { sha256 } from "../viewer/bytes";
import { Spoken } from "../text/language";
import { pagesEn, type PagesText } from "../text/pages.en";
import { pagesNl } from "../text/pages.nl";
import { Problem, type Reason } from "./api";

export const usePagesText = (): PagesText => (useContext(Spoken) === "nl" ? pagesNl : pagesEn);

/** What went wrong, in words of ours: what a browser says of itself helps nobody at a school. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  console.error(error);
  const unread = error instanceof DOMException && ["NotReadableError", "NotFoundError"].includes(error.name);
  return new Problem(0, unread ? "file-unread" : "page", "");
}

/** Shows why something was not done. */
export function Failed({ error }: { error: unknown }) {
  const t = usePagesText();
  if (error === null || error === undefined) return null;
  const found = problemOf(error);
  // What the box refuses for a reason of its own, it says itself.
  const own = found.detail !== "" && (found.code === "denied" || found.status === 403);
  const known =
    t.reasons[found.code] ??
    (found.code === "denied" ? undefined : t.problems[found.code]) ??
    (own ? undefined : found.status === 403 ? t.problems["denied"] : undefined);
  return (
    <div class="problem" role="alert" data-code={found.code}>
      <p>
        <strong>{t.problem}.</strong> {known ?? (found.detail || t.problems["page"])}
      </p>
      {found.reasons.length > 0 && <Reasons reasons={found.reasons} />}
    </div>
  );
}

/** Reasons not to record, in plain words, each with who settles it and how. */
export function Reasons({ reasons }: { reasons: readonly Reason[] }) {
  const t = usePagesText();
  return (
    <ul class="reasons">
      {reasons.map((reason) => (
        <li key={reason.code + reason.sentence} data-reason={reason.code}>
          <strong>{t.reasons[reason.code] ?? reason.sentence}</strong>{" "}
          <span class="hint">{t.settledBy(t.roles[reason.who] ?? reason.who)}</span>
          <details>
            <summary>{t.settleHow}</summary>
            <p>{reason.sentence}</p>
            <p>
              <code>{reason.settle}</code>
            </p>
          </details>
        </li>
      ))}
    </ul>
  );
}

/** What `load` gives, again whenever `again` is called or something in `on` changes. */
export function useLoaded<T>(load: () => Promise<T>, on: readonly unknown[] = []) {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  const again = useCallback(() => setTurn((it) => it + 1), []);
  useEffect(() => {
    let current = true;
    load().then(
      (found) => {
        if (!current) return;
        setValue(found);
        setError(null);
      },
      (problem: unknown) => current && setError(problem),
    );
    return () => {
      current = false;
    };
  }, [turn, ...on]);
  return { value, error, again };
}

/** Does one thing at a time and remembers what went wrong. */
export function useAction() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const act = async (what: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setError(null);
    try {
      await what();
      return true;
    } catch (problem) {
      setError(problem);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, act };
}

export function Card({ title, children }: { title: string; children: ComponentChildren }) {
  const id = `card-${title.replace(/\W+/g, "-")}`;
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
    </section>
  );
}

interface FieldProps {
  id: string;
  label: string;
  hint?: string;
  children: ComponentChildren;
}

/** A label, its input (which names `id`, and `id-hint` where there is a hint), and the hint. */
export function Field({ id, label, hint, children }: FieldProps) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {hint && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
    </div>
  );
}

/** What a form holds, by the names of its inputs. */
export function entries(event: Event): Record<string, string> {
  event.preventDefault();
  const data = new FormData(event.currentTarget as HTMLFormElement);
  const found: Record<string, string> = {};
  for (const [name, value] of data) if (typeof value === "string") found[name] = value.trim();
  return found;
}

/** A file of a form; `null` where none was picked. */
export async function fileOf(
  form: HTMLFormElement,
  name: string,
  limit = Infinity,
): Promise<Uint8Array | null> {
  const file = new FormData(form).get(name);
  if (!(file instanceof File) || file.size === 0) return null;
  if (file.size > limit) throw new Problem(0, "too-large", "");
  return new Uint8Array(await file.arrayBuffer());
}

/** The digest of a file that stays here; `null` where none was picked. */
export async function digestOf(form: HTMLFormElement, name: string): Promise<string | null> {
  const file = await fileOf(form, name);
  return file && sha256(file);
}

/** A flat object as a list of terms; what is not known by name keeps its own. */
export function Facts({ of, names = {} }: { of: object; names?: Record<string, string> }) {
  const t = usePagesText();
  const show = (value: unknown): string => {
    if (value === null || value === undefined || value === "") return t.none;
    if (typeof value === "boolean") return t.truth[String(value)] ?? String(value);
    if (Array.isArray(value)) return value.length === 0 ? t.none : value.map(show).join(", ");
    if (typeof value === "object") {
      return Object.entries(value)
        .map(([key, inner]) => `${key.replaceAll("_", " ")}: ${show(inner)}`)
        .join(", ");
    }
    return String(value);
  };
  return (
    <dl>
      {Object.entries(of).map(([key, value]) => (
        <div key={key}>
          <dt>{names[key] ?? key.replaceAll("_", " ")}</dt>
          <dd>{show(value)}</dd>
        </div>
      ))}
    </dl>
  );
}
