/** How the box is, as it tells every change. */

import { useEffect, useState } from "preact/hooks";

import type { Api, Status } from "./api";

/** After so long a broken connection is tried again, in milliseconds. */
const AGAIN = 3000;

/** The box's status while the page is open; `lost` where it has not been heard of. */
export function useStatus(api: Api): { status: Status | null; lost: boolean } {
  const [status, setStatus] = useState<Status | null>(null);
  const [lost, setLost] = useState(false);
  useEffect(() => {
    let closed = false;
    let events: EventSource | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const connect = (): void => {
      events = new EventSource("/api/v1/events");
      events.addEventListener("status", (event) => {
        setLost(false);
        setStatus(JSON.parse((event as MessageEvent<string>).data) as Status);
      });
      events.onerror = () => {
        if (closed) return;
        setLost(true);
        events?.close();
        // Finds out whether somebody is still logged in, which an event source does not tell.
        timer = setTimeout(() => {
          api.get<Status>("status").then(
            (found) => {
              setStatus(found);
              connect();
            },
            () => {
              if (!closed) timer = setTimeout(connect, AGAIN);
            },
          );
        }, AGAIN);
      };
    };
    api.get<Status>("status").then(setStatus, () => setLost(true));
    connect();
    return () => {
      closed = true;
      clearTimeout(timer);
      events?.close();
    };
  }, [api]);
  return { status, lost };
}

/** Seconds since the status came, so that a clock moves between two of them. */
export function useElapsed(status: Status | null): number {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    setSeconds(0);
    const came = Date.now();
    const timer = setInterval(() => setSeconds(Math.floor((Date.now() - came) / 1000)), 500);
    return () => clearInterval(timer);
  }, [status]);
  return seconds;
}
