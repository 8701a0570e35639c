import { readFileSync } from "node:fs";

import { expect, it } from "vitest";

import { pagesEn } from "./pages.en";
import { pagesNl } from "./pages.nl";

it("has a sentence in each language for every reason that the box can give", () => {
  const codes = readFileSync(new URL("../../../src/appliance/codes.rs", import.meta.url), "utf8");
  const words = [...codes.matchAll(/= \("([a-z-]+)", \w+, \d\),/g)].map((match) => match[1]!);
  expect(words.length).toBeGreaterThan(30);
  for (const text of [pagesEn, pagesNl]) {
    expect(words.filter((word) => !text.reasons[word])).toEqual([]);
  }
});

it("says everything in both languages", () => {
  const words = (of: object): string[] =>
    Object.entries(of).flatMap(([key, value]) =>
      typeof value === "object" && value !== null ? words(value).map((it) => `${key}.${it}`) : [key],
    );
  expect(words(pagesNl).sort()).toEqual(words(pagesEn).sort());
});
