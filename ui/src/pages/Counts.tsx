/** How many recordings there are and were, for those who see nothing else of them. */

import type { Api } from "./api";
import { Card, Failed, useLoaded, usePagesText } from "./common";

interface Answer {
  readonly kept: number;
  readonly withheld: number;
  readonly months: readonly { month: string; recorded: number; destroyed: number }[];
}

export function Counts({ api }: { api: Api }) {
  const t = usePagesText();
  const { value, error } = useLoaded(() => api.get<Answer>("counts"), [api]);
  return (
    <Card title={t.countsTitle}>
      <p>{t.countsHint}</p>
      <Failed error={error} />
      {!value && error === null && <p role="status">{t.loading}</p>}
      {value && (
        <>
          <dl>
            <div>
              <dt>{t.countsKept}</dt>
              <dd data-kept>{value.kept}</dd>
            </div>
            <div>
              <dt>{t.countsWithheld}</dt>
              <dd>{value.withheld}</dd>
            </div>
          </dl>
          <table>
            <thead>
              <tr>
                <th scope="col">{t.countsMonth}</th>
                <th scope="col">{t.countsRecorded}</th>
                <th scope="col">{t.countsDestroyed}</th>
              </tr>
            </thead>
            <tbody>
              {[...value.months].reverse().map((one) => (
                <tr key={one.month}>
                  <th scope="row">{one.month}</th>
                  <td>{one.recorded}</td>
                  <td>{one.destroyed}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </Card>
  );
}
