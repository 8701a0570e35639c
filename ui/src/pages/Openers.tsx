/** Who will be able to open a recording: for its coach and its teacher, before it begins and while it runs. */

import { useContext } from "preact/hooks";

import { moment, Spoken } from "../text/language";
import type { Lesson } from "./api";
import { usePagesText } from "./common";

export function Openers({ lesson }: { lesson: Lesson }) {
  const t = usePagesText();
  const language = useContext(Spoken);
  const role = (word: string | null): string => (word === null ? "" : ` (${t.roles[word] ?? word})`);
  return (
    <section class="openers" aria-labelledby="openers" data-openers={lesson.openers.length}>
      <h3 id="openers">{t.openersTitle}</h3>
      {lesson.openers_problem !== null && <p class="problem">{lesson.openers_problem}</p>}
      <ul class="entries">
        {lesson.openers.map((one) => (
          <li key={one.fingerprint} data-opener={one.person} data-new={one.new}>
            <strong>{one.person ?? t.openerNobody}</strong>
            {role(one.role)}
            {one.new && <strong class="new">{t.openerNew}</strong>}
            <br />
            <code>{one.fingerprint}</code>
            <br />
            <span class="hint">
              {one.confirmed !== null && (t.confirmed[one.confirmed] ?? one.confirmed)}
              {one.since !== null && `, ${t.openerSince(moment(language, one.since))}`}
            </span>
          </li>
        ))}
      </ul>
      {lesson.ahead.length > 0 && (
        <>
          <h4>{t.aheadTitle}</h4>
          <ul class="entries">
            {lesson.ahead.map((one) => (
              <li key={one.fingerprint} data-ahead={one.person}>
                <strong>{one.person}</strong>
                {role(one.role)}: {t.aheadFrom(moment(language, one.from))}
                <br />
                <code>{one.fingerprint}</code>
                {one.replaces !== null && (
                  <>
                    <br />
                    {t.aheadReplaces} <code>{one.replaces}</code>
                  </>
                )}
              </li>
            ))}
          </ul>
        </>
      )}
      <p class="hint">{t.openersHint}</p>
    </section>
  );
}
