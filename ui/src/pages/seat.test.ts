import { expect, it } from "vitest";

import { crosses, readPlan, seatText, writePlan, type Plan, type Point } from "./seat";

const square: Point[] = [[0.1, 0.1], [0.4, 0.1], [0.4, 0.5], [0.1, 0.5]];

it("writes a seat as the list reads it", () => {
  expect(seatText("cam1", square)).toBe("cam1:0.100/0.100 0.400/0.100 0.400/0.500 0.100/0.500");
});

it("finds an outline that crosses itself", () => {
  expect(crosses(square)).toBe(false);
  expect(crosses(square.slice(0, 3))).toBe(false);
  expect(crosses([square[0]!, square[2]!, square[1]!, square[3]!])).toBe(true);
});

it("a plan is outlines and numbers, read as it was written", () => {
  const plan: Plan = {
    camera: "cam1",
    width: 320,
    height: 180,
    seats: [[[0.1, 0.2], [0.3, 0.2], [0.3, 0.6]]],
  };
  const written = writePlan(plan);
  expect(readPlan(written)).toEqual(plan);
  for (const [from, to] of [
    ["classveil-seats/1", "classveil-seats/2"],
    ['"cam1"', '"../cam1"'],
    ["320", "0"],
    ["0.1", "1.1"],
    ["[0.3,0.6]", "[0.3]"],
    ["[[[", "[["],
    ["{", "["],
  ] as const) {
    expect(written).toContain(from);
    expect(readPlan(written.replace(from, to)), to).toBeNull();
  }
  expect(readPlan("null")).toBeNull();
});
