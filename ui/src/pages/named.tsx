/** A recording for somebody who never looks at one: when it was, of which class, and its id. */

import { useContext } from "preact/hooks";

import { moment, Spoken } from "../text/language";
import { usePagesText } from "./common";

export interface About {
  readonly id: string;
  readonly started?: string;
  readonly class?: string | null;
  readonly withheld?: boolean;
}

/** What a recording is to somebody who never looks at one. */
export function Named({ id, recordings }: { id: string; recordings: readonly About[] }) {
  const t = usePagesText();
  const language = useContext(Spoken);
  const about = recordings.find((one) => one.id === id);
  return (
    <>
      {about?.started && `${moment(language, about.started)}, ${about.class ?? t.none} `}
      <code>{id}</code>
      {!about && ` ${t.requestGone}`}
      {about?.withheld && ` ${t.requestWithheld}`}
    </>
  );
}
