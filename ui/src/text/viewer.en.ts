/** The viewer's words in English. The other languages have the same shape or do not compile. */

import type { Reason } from "../viewer/refused";

export const viewerEn = {
  title: "Viewer",
  intro:
    "Opens a recording on this computer. Nothing is sent anywhere, nothing is stored: close the page and it is gone.",
  pickFolder: "Choose the recording's folder",
  pickHint: "Or drag the folder here. It is the one that holds manifest.json.",
  pickBoxKey: "The box's public key (box.pub)",
  pickBoxKeyHint: "A copy from the day the box was set up. Without it damage is found, a forgery is not.",
  boxKeyFits: (id: string) => `Signed by box ${id}, the box of your box.pub.`,
  boxKeyUnproven: (id: string) =>
    `Signed by box ${id}. Compare this with what you noted on the day the box was set up.`,
  pickKey: "Your key file",
  pickKeyHint: "The file that you made with classveil keygen, age-keygen or on the page Keys.",
  passphrase: "Passphrase of the key file",
  passphraseHint: "Only if the file asks for one.",
  show: "Show",
  hide: "Hide",
  unlock: "Check and open",
  working: "Checking …",
  about: "About this recording",
  purpose: "Purpose",
  purposes: { coaching: "Coaching of the teacher", "team-session": "Session of a team of teachers" } as Record<
    string,
    string
  >,
  never: "Never for",
  nevers: {
    appraisal: "appraisal",
    "performance-review": "performance reviews",
    complaints: "complaints",
  } as Record<string, string>,
  recorded: "Recorded",
  length: "Length",
  deadline: "Will be destroyed by",
  overdue: "This recording should be gone since that day. Destroy your copy.",
  class: "Class",
  teacher: "Teacher",
  coach: "Coach",
  question: "Learning question",
  mayLook: "Who may look",
  mayLookKeys: (keys: number) =>
    keys === 1 ? "The holder of one key:" : `The holders of ${keys} keys:`,
  mayLookGrants: "and to whom the teacher gave access later.",
  policy: "Who is veiled",
  policies: {
    refused: "pupils who refused, and whoever cannot be told from them",
    "unless-cleared": "everybody who was not cleared",
    everyone: "everybody",
  } as Record<string, string>,
  fault: "Fault while recording",
  mayMiss: (seconds: number) => `Up to ${seconds} s of the end may be missing.`,
  gaps: "Without pictures",
  whys: {
    dropped: "deleted because somebody asked for it",
    "camera-lost": "the camera was away",
  } as Record<string, string>,
  noGaps: "nothing is missing",
  notes: "Notes of people who were recorded",
  waivers: "What was waived",
  camera: "Camera",
  play: "Play",
  pause: "Pause",
  position: "Position",
  volume: "Sound",
  noSound: "No sound was recorded.",
  speed: "Speed",
  back: "10 s back",
  forward: "10 s on",
  fullscreen: "Full screen",
  lock: "Lock",
  locked: "Locked. The key and the pictures are gone from this page.",
  lockedIdle: "Nobody was here for a while, so this page locked itself.",
  waiting: "The box does not answer; trying again …",
  inGap: "No pictures here; going on after the gap.",
  empty: "This recording has no pictures.",
  marks: "Marks and notes",
  marksHint:
    "They stay in this page until you save them. They are encrypted under the recording's key: whoever may look can read them, and nobody once the recording is destroyed. They are signed with the key that opened the recording, so that everybody sees whose they are.",
  markFrom: "Mark from here",
  markTo: "to here",
  marking: (from: string) => `Marking from ${from}`,
  note: "Note",
  remove: "Remove",
  goTo: (at: string) => `Go to ${at}`,
  keepMarks: "Save with the recording",
  keptMarks: "Saved with the recording.",
  marksOf: (person: string) => `Marks of ${person}`,
  signed: "Signed by them.",
  signedByGrant: "Signed; whose key it is, the teacher's grant says.",
  signedUnproven: "Whose keys these are rests on the box's key, which nothing here proves.",
  made: {
    unsigned: "NOT SIGNED: anybody who may look can have written this.",
    "not-theirs": "NOT BY WHOM THEY NAME: no key signed this that the recording names as theirs.",
    altered: "ALTERED after they were signed.",
    "other-recording": "OF ANOTHER RECORDING: copied here by somebody.",
    "other-person": "NOT BY WHOM THEY NAME: somebody else signed this.",
    unreadable: "These marks cannot be read: they were made for another key, or are damaged.",
  },
  marksNobodyKnows: "This recording does not say with which keys its people sign: whose marks these are, nobody can tell.",
  marksUnprovable:
    "This recording names no signing key for your key file: others will be told that your marks may be anybody's.",
  saveMarks: "Save as an encrypted file",
  loadMarks: "Open saved marks",
  saveParts: "Save times for an export",
  unsaved: "Not saved yet.",
  noMarks: "No marks yet.",
  refused: "Not shown",
  language: "Nederlands",
};

export type ViewerText = typeof viewerEn;

/** The sentence for each reason. */
export function reasonEn(reason: Reason): string {
  switch (reason.code) {
    case "not-a-recording":
      return "This folder is no recording: it has no manifest.json.";
    case "missing":
      return `The file ${reason.file} is missing. Get the whole folder again.`;
    case "altered":
      return `${reason.file} was altered since the box signed it. Nothing of it is shown.`;
    case "length":
      return `${reason.file} has ${reason.bytes} bytes instead of ${reason.expected}: it was cut short or altered.`;
    case "signature":
      return `${reason.file} is no signature of the box: it was altered.`;
    case "other-box":
      return `This recording was signed by box ${reason.signer}, not by ${reason.expected}.`;
    case "bad-box-key":
      return "This is no public key of a box: choose the file box.pub.";
    case "format":
      return "This recording is of a version that this viewer does not know.";
    case "unsealed":
      return "This recording has not ended yet.";
    case "chain":
      return `Line ${reason.line} of segments.jsonl does not follow the one before: segments were altered, left out or reordered.`;
    case "journal":
      return "segments.jsonl does not say what the signed manifest says: it was altered or cut short.";
    case "bad-identity":
      return "This is no key file: a line that begins with AGE-SECRET-KEY-1 is expected.";
    case "passphrase-needed":
      return "This key file has a passphrase: type it.";
    case "wrong-passphrase":
      return "The passphrase is wrong, or the key file is damaged.";
    case "wrong-key":
      return "This key does not open the recording: it is not one of those who may look.";
    case "not-sealed-to-key":
      return `${reason.file} is not encrypted to this recording's key.`;
    case "unplayable":
      return "This browser cannot play the pictures. A recent Chrome, Edge, Firefox or Safari can.";
    case "unreachable":
      return reason.status === 403 || reason.status === 404
        ? "The box does not hand this recording out to you (any more)."
        : "The box does not answer. Check the network and try again.";
    case "marks":
      return "This file holds no marks of this recording.";
    case "not-your-key":
      return "This key is not one with which you sign: the box knows another as yours. See the page Keys.";
    case "marks-long":
      return "These marks are longer than the box keeps. Save them as a file, or make the notes shorter.";
    case "marks-not-kept":
      return "The box did not keep the marks. Try again, or save them as a file.";
  }
}
