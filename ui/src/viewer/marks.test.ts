import { expect, it } from "vitest";

import { fragments } from "./marks";

it("writes times as `classveil export --fragments` reads them", () => {
  const mark = (from_ms: number, to_ms: number) => ({ camera: "cam1", from_ms, to_ms, note: "secret" });
  expect(fragments([mark(130_000, 225_500), mark(0, 61_001), mark(3_723_000, 3_780_000)])).toBe(
    "00:00.000 01:01.001\n02:10.000 03:45.500\n1:02:03.000 1:03:00.000\n",
  );
});
