/** How the box is: for who keeps it running. No picture and no name is in it. */

import type { Api, CameraAtWork, Preflight } from "./api";
import { Card, Failed, Reasons, useLoaded, usePagesText } from "./common";
import { useStatus } from "./status";

/** What is looked at before a recording, by the codes that say that it is not in order. */
const PARTS = {
  cameras: ["camera-missing", "camera-unreachable"],
  disk: ["disk-small", "disk-unwritable"],
  clock: ["time-untrusted"],
  models: ["model-digest"],
  log: ["log-damaged"],
} as const;

/** What is no fault of the box. */
const USUAL = ["not-prepared", "busy"];

interface Camera {
  readonly id: string;
  readonly at_work: CameraAtWork | null;
}

export function Box({ api }: { api: Api }) {
  const t = usePagesText();
  const { status, lost } = useStatus(api);
  const state = status?.state;
  const checks = useLoaded(() => api.get<Preflight>("preflight"), [api, state]);
  const cameras = useLoaded(() => api.get<{ cameras: readonly Camera[] }>("cameras"), [api, state]);
  const works = (word: string): string => t.works[word] ?? word;
  const reasons = checks.value?.reasons.filter(({ code }) => !USUAL.includes(code)) ?? [];
  const part = (codes: readonly string[]): string => {
    const found = reasons.filter(({ code }) => codes.includes(code));
    if (!checks.value) return t.loading;
    return found.map(({ code }) => t.reasons[code] ?? code).join(" ") || t.inOrder;
  };
  const at = (id: string): CameraAtWork | undefined =>
    status?.cameras.find((one) => one.camera === id);
  return (
    <>
      <Card title={t.boxTitle}>
        {lost && <p class="warn">{t.problems["unreachable"]}</p>}
        {status && (
          <dl>
            {(
              [
                [t.boxTitle, t.states[status.state]],
                [t.software, status.software],
                [t.indicator, works(status.indicator)],
                [t.button, works(status.button)],
                [t.fault, status.fault ? (t.reasons[status.fault] ?? status.fault) : t.noFault],
                ...Object.entries(PARTS).map(
                  ([name, codes]) => [t.parts[name] ?? name, part(codes)] as const,
                ),
                [t.waivers, status.waivers.length > 0 ? status.waivers.join(", ") : t.none],
              ] as const
            ).map(([term, value]) => (
              <div key={term}>
                <dt>{term}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        )}
      </Card>
      <section class="card" aria-labelledby="checks">
        <h2 id="checks" aria-live="polite">
          {!checks.value
            ? t.loading
            : reasons.length === 0
              ? t.ready
              : t.notReady(reasons.length)}
        </h2>
        <Reasons reasons={reasons} />
        <Failed error={checks.error} />
        <button type="button" onClick={checks.again}>
          {t.look}
        </button>
      </section>
      <Card title={t.cameras}>
        <Failed error={cameras.error} />
        <ul class="cards">
          {cameras.value?.cameras.map(({ id, at_work }) => {
            const now = at(id) ?? at_work;
            return (
              <li key={id}>
                <h3>{id}</h3>
                <p>
                  {now
                    ? [
                        `${now.frames_in} ${t.framesIn}`,
                        `${now.frames_displaced} ${t.displaced}`,
                        `${now.frames_veiled_whole} ${t.veiledWhole}`,
                        `${now.segments} ${t.segments}`,
                      ].join(", ")
                    : t.idleCamera}
                </p>
              </li>
            );
          })}
        </ul>
      </Card>
    </>
  );
}
