/**
 * Why the viewer does not show something. Each reason is a code; the sentences are in `text`, one
 * set per language, so that a reason without a sentence does not compile.
 */

/** Everything the viewer refuses, with what the sentence names. */
export type Reason =
  | { code: "not-a-recording" }
  | { code: "missing"; file: string }
  | { code: "altered"; file: string }
  | { code: "length"; file: string; bytes: number; expected: number }
  | { code: "signature"; file: string }
  | { code: "other-box"; signer: string; expected: string }
  | { code: "bad-box-key" }
  | { code: "format" }
  | { code: "unsealed" }
  | { code: "chain"; line: number }
  | { code: "journal" }
  | { code: "bad-identity" }
  | { code: "passphrase-needed" }
  | { code: "wrong-passphrase" }
  | { code: "wrong-key" }
  | { code: "not-sealed-to-key"; file: string }
  | { code: "unplayable"; file: string }
  | { code: "unreachable"; file: string; status: number }
  | { code: "marks" }
  | { code: "not-your-key" }
  | { code: "marks-long" }
  | { code: "marks-not-kept" };

/** Thrown instead of showing something that was not checked. */
export class Refused extends Error {
  constructor(readonly reason: Reason) {
    super(reason.code);
    this.name = "Refused";
  }
}

/** Throws. */
export function refuse(reason: Reason): never {
  throw new Refused(reason);
}
