import { expect, it } from "vitest";

import { crosses, seatText, type Point } from "./seat";

const square: Point[] = [[0.1, 0.1], [0.4, 0.1], [0.4, 0.5], [0.1, 0.5]];

it("writes a seat as the list reads it", () => {
  expect(seatText("cam1", square)).toBe("cam1:0.100/0.100 0.400/0.100 0.400/0.500 0.100/0.500");
});

it("finds an outline that crosses itself", () => {
  expect(crosses(square)).toBe(false);
  expect(crosses(square.slice(0, 3))).toBe(false);
  expect(crosses([square[0]!, square[2]!, square[1]!, square[3]!])).toBe(true);
});
