/** Locks the viewer when nobody is there: a recording must not stand open on a forgotten screen. */

/** Without a touch of mouse, keyboard or screen, in milliseconds; longer while a picture plays. */
export const IDLE = 10 * 60_000;
export const IDLE_PLAYING = 60 * 60_000;

const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"] as const;

/** Calls `lock` once after too long; the function given back stops the watch. */
export function watchIdle(isPlaying: () => boolean, lock: () => void): () => void {
  let last = Date.now();
  const seen = (): void => {
    last = Date.now();
  };
  for (const sign of SIGNS) window.addEventListener(sign, seen, { passive: true });
  // By the clock and not by a timer's count: a laptop that slept was left alone as well.
  const timer = setInterval(() => {
    if (Date.now() - last >= (isPlaying() ? IDLE_PLAYING : IDLE)) {
      stop();
      lock();
    }
  }, 1000);
  const stop = (): void => {
    clearInterval(timer);
    for (const sign of SIGNS) window.removeEventListener(sign, seen);
  };
  return stop;
}
