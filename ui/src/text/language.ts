/** Which language the page speaks: the browser's, until its user says otherwise. */

import { createContext } from "preact";

export type Language = "nl" | "en";

const PLACE = "classveil-language";

export function preferred(): Language {
  try {
    const kept = localStorage.getItem(PLACE);
    if (kept === "nl" || kept === "en") return kept;
  } catch {
    // A page opened from a file may have no storage; the browser's language serves as well.
  }
  return navigator.language.toLowerCase().startsWith("nl") ? "nl" : "en";
}

/** Keeps the choice, and tells screen readers how to pronounce the page. */
export function speak(language: Language): void {
  document.documentElement.lang = language;
  try {
    localStorage.setItem(PLACE, language);
  } catch {
    // The next visit asks the browser again.
  }
}

export const Spoken = createContext<Language>("en");

/** A day and a time as people of this language write them. */
export const moment = (language: Language, iso: string): string =>
  new Date(iso).toLocaleString(language === "nl" ? "nl-NL" : "en-GB", {
    dateStyle: "long",
    timeStyle: "short",
  });
