import { expect, it, vi } from "vitest";

import { Problem } from "./api";
import { problemOf } from "./common";
import { pagesEn } from "../text/pages.en";
import { pagesNl } from "../text/pages.nl";

it("says in its own words what the browser or a library says in theirs", () => {
  const quiet = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const own = new Problem(409, "removals", "the list lifts refusals");
  expect(problemOf(own)).toBe(own);
  const gone = problemOf(new DOMException("The requested file could not be read", "NotReadableError"));
  const other = problemOf(new TypeError("Cannot read properties of undefined"));
  expect([gone.code, other.code]).toEqual(["file-unread", "page"]);
  for (const { code, detail } of [gone, other]) {
    expect(detail).toBe("");
    expect([pagesEn.problems[code], pagesNl.problems[code]]).not.toContain(undefined);
  }
  // Whoever mends it finds it in the browser's console.
  expect(quiet).toHaveBeenCalledTimes(2);
  quiet.mockRestore();
});
