/** De woorden van de kijker in het Nederlands. */

import type { Reason } from "../viewer/refused";
import type { ViewerText } from "./viewer.en";

export const viewerNl: ViewerText = {
  title: "Kijker",
  intro:
    "Opent een opname op deze computer. Er wordt niets verstuurd en niets bewaard: sluit de pagina en alles is weg.",
  pickFolder: "Kies de map van de opname",
  pickHint: "Of sleep de map hierheen. Het is de map met manifest.json.",
  pickBoxKey: "De publieke sleutel van de box (box.pub)",
  pickBoxKeyHint:
    "Een kopie van de dag waarop de box is ingericht. Zonder die sleutel wordt schade gevonden, vervalsing niet.",
  boxKeyFits: (id) => `Ondertekend door box ${id}, de box van uw box.pub.`,
  boxKeyUnproven: (id) =>
    `Ondertekend door box ${id}. Vergelijk dit met wat u noteerde toen de box werd ingericht.`,
  pickKey: "Uw sleutelbestand",
  pickKeyHint: "Het bestand dat u maakte met classveil keygen, age-keygen of op de pagina Sleutels.",
  passphrase: "Wachtzin van het sleutelbestand",
  passphraseHint: "Alleen als het bestand erom vraagt.",
  show: "Tonen",
  hide: "Verbergen",
  unlock: "Controleren en openen",
  working: "Bezig met controleren …",
  about: "Over deze opname",
  purpose: "Doel",
  purposes: { coaching: "Beeldcoaching van de leraar", "team-session": "Sessie van een team leraren" },
  never: "Nooit voor",
  nevers: {
    appraisal: "beoordeling",
    "performance-review": "functioneringsgesprekken",
    complaints: "klachten",
  },
  recorded: "Opgenomen",
  length: "Duur",
  deadline: "Wordt uiterlijk vernietigd op",
  overdue: "Deze opname had sinds die dag weg moeten zijn. Vernietig uw kopie.",
  class: "Klas",
  teacher: "Leraar",
  coach: "Coach",
  question: "Leervraag",
  mayLook: "Wie mag kijken",
  mayLookKeys: (keys) =>
    keys === 1 ? "De houder van één sleutel:" : `De houders van ${keys} sleutels:`,
  mayLookGrants: "en wie de leraar later toegang gaf.",
  policy: "Wie is afgeschermd",
  policies: {
    refused: "leerlingen die weigerden, en wie daar niet van te onderscheiden is",
    "unless-cleared": "iedereen die niet is vrijgegeven",
    everyone: "iedereen",
  },
  fault: "Storing tijdens de opname",
  mayMiss: (seconds) => `Van het einde ontbreekt mogelijk tot ${seconds} s.`,
  gaps: "Zonder beeld",
  whys: {
    dropped: "gewist omdat iemand daarom vroeg",
    "camera-lost": "de camera was weg",
  },
  noGaps: "er ontbreekt niets",
  notes: "Opmerkingen van mensen die zijn opgenomen",
  waivers: "Waarvan is afgezien",
  camera: "Camera",
  play: "Afspelen",
  pause: "Pauze",
  position: "Plaats",
  volume: "Geluid",
  noSound: "Er is geen geluid opgenomen.",
  speed: "Snelheid",
  back: "10 s terug",
  forward: "10 s verder",
  fullscreen: "Volledig scherm",
  lock: "Vergrendelen",
  locked: "Vergrendeld. De sleutel en de beelden zijn van deze pagina verdwenen.",
  lockedIdle: "Er was een tijd niemand; deze pagina heeft zichzelf vergrendeld.",
  waiting: "De box antwoordt niet; er wordt opnieuw geprobeerd …",
  inGap: "Hier is geen beeld; het gaat verder na het gat.",
  empty: "Deze opname heeft geen beelden.",
  marks: "Fragmenten en notities",
  marksHint:
    "Ze blijven op deze pagina tot u ze bewaart. Ze zijn versleuteld met de sleutel van de opname: wie mag kijken kan ze lezen, en niemand meer zodra de opname vernietigd is. Ze worden ondertekend met de sleutel waarmee de opname geopend is, zodat iedereen ziet van wie ze zijn.",
  markFrom: "Fragment vanaf hier",
  markTo: "tot hier",
  marking: (from) => `Fragment vanaf ${from}`,
  note: "Notitie",
  remove: "Verwijderen",
  goTo: (at) => `Ga naar ${at}`,
  keepMarks: "Bij de opname bewaren",
  keptMarks: "Bij de opname bewaard.",
  marksOf: (person) => `Fragmenten van ${person}`,
  signed: "Door hen ondertekend.",
  signedByGrant: "Ondertekend; van wie de sleutel is, zegt de leraar die toegang gaf.",
  signedUnproven: "Van wie de sleutels zijn, steunt op de sleutel van de box, die hier door niets bewezen wordt.",
  made: {
    unsigned: "NIET ONDERTEKEND: iedereen die mag kijken kan dit geschreven hebben.",
    "not-theirs": "NIET VAN WIE ERBOVEN STAAT: niet ondertekend met een sleutel die volgens de opname van hen is.",
    altered: "VERANDERD nadat ze ondertekend waren.",
    "other-recording": "VAN EEN ANDERE OPNAME: iemand heeft ze hierheen gekopieerd.",
    "other-person": "NIET VAN WIE ERBOVEN STAAT: iemand anders heeft dit ondertekend.",
    unreadable: "Deze fragmenten zijn niet leesbaar: ze horen bij een andere sleutel of zijn beschadigd.",
  },
  marksNobodyKnows: "Deze opname zegt niet met welke sleutels haar mensen ondertekenen: van wie deze fragmenten zijn, weet niemand.",
  marksUnprovable:
    "Deze opname noemt geen sleutel waarmee u ondertekent: anderen lezen dat uw fragmenten van iedereen kunnen zijn.",
  saveMarks: "Als versleuteld bestand bewaren",
  loadMarks: "Bewaarde fragmenten openen",
  saveParts: "Tijden voor een export bewaren",
  unsaved: "Nog niet bewaard.",
  noMarks: "Nog geen fragmenten.",
  refused: "Niet getoond",
  language: "English",
};

export function reasonNl(reason: Reason): string {
  switch (reason.code) {
    case "not-a-recording":
      return "Deze map is geen opname: manifest.json ontbreekt.";
    case "missing":
      return `Het bestand ${reason.file} ontbreekt. Haal de hele map opnieuw op.`;
    case "altered":
      return `${reason.file} is veranderd sinds de box het ondertekende. Er wordt niets van getoond.`;
    case "length":
      return `${reason.file} heeft ${reason.bytes} bytes in plaats van ${reason.expected}: het is afgekapt of veranderd.`;
    case "signature":
      return `${reason.file} is geen handtekening van de box: het is veranderd.`;
    case "other-box":
      return `Deze opname is ondertekend door box ${reason.signer}, niet door ${reason.expected}.`;
    case "bad-box-key":
      return "Dit is geen publieke sleutel van een box: kies het bestand box.pub.";
    case "format":
      return "Deze opname is van een versie die deze kijker niet kent.";
    case "unsealed":
      return "Deze opname is nog niet afgelopen.";
    case "chain":
      return `Regel ${reason.line} van segments.jsonl volgt niet op de vorige: segmenten zijn veranderd, weggelaten of verwisseld.`;
    case "journal":
      return "segments.jsonl zegt niet wat het ondertekende manifest zegt: het is veranderd of afgekapt.";
    case "bad-identity":
      return "Dit is geen sleutelbestand: een regel die begint met AGE-SECRET-KEY-1 wordt verwacht.";
    case "passphrase-needed":
      return "Dit sleutelbestand heeft een wachtzin: typ die in.";
    case "wrong-passphrase":
      return "De wachtzin klopt niet, of het sleutelbestand is beschadigd.";
    case "wrong-key":
      return "Deze sleutel opent de opname niet: hij hoort niet bij wie mag kijken.";
    case "not-sealed-to-key":
      return `${reason.file} is niet met de sleutel van deze opname versleuteld.`;
    case "unplayable":
      return "Deze browser kan de beelden niet afspelen. Een recente Chrome, Edge, Firefox of Safari kan het.";
    case "unreachable":
      return reason.status === 403 || reason.status === 404
        ? "De box geeft u deze opname niet (meer)."
        : "De box antwoordt niet. Controleer het netwerk en probeer het opnieuw.";
    case "marks":
      return "Dit bestand bevat geen fragmenten van deze opname.";
    case "not-your-key":
      return "Met deze sleutel ondertekent u niet: de box kent een andere als de uwe. Zie de pagina Sleutels.";
    case "marks-long":
      return "Deze fragmenten zijn langer dan de box bewaart. Bewaar ze als bestand, of maak de notities korter.";
    case "marks-not-kept":
      return "De box heeft de fragmenten niet bewaard. Probeer het opnieuw, of bewaar ze als bestand.";
  }
}
