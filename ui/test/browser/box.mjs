/**
 * A lesson on the pages of a real box, each role at its own: from a fresh box to the recording seen.
 *
 *   node box.mjs SCHOOL.json [SHOTS_DIR]
 *
 * SCHOOL.json: url, code (for the first administrator), password, button (a pipe that the box reads
 * as its button), list (a zip), broken (one with a mistake), letter,
 * teacherKey, coachCode (the coach's, to enrol a key), coachKey (where to put that key), plan (where to put the plan of seats); in the
 * directory of people are t-07 and c-09 with keys, and c-02 without one; accounts c-02, t-07, o-01 and p-01 exist. Pictures of the pages go into SHOTS_DIR where
 * it is given.
 */

import { strict as assert } from "node:assert";
import { open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { accessible, openPage, withBrowser } from "./support.mjs";

const school = JSON.parse(await readFile(process.argv[2], "utf8"));
const shots = process.argv[3];
/** Pages with a photograph, which PNG makes large. */
const PHOTOS = ["coach-recording", "teacher-recording", "viewer", "coach-marks"];
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1000, height: 900 };
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Short press: two records of Linux' `struct input_event`, down and up. */
async function press() {
  const button = await open(school.button, "w");
  for (const value of [1, 0]) {
    const record = Buffer.alloc(24);
    record.writeUInt16LE(1, 16);
    record.writeUInt16LE(148, 18);
    record.writeInt32LE(value, 20);
    await button.write(record);
    await pause(60);
  }
  await button.close();
}

/** A look at the page in both widths: usable by everybody, and nothing beside the screen. */
async function look(page, name, where) {
  for (const size of [PHONE, DESK]) {
    await page.setViewportSize(size);
    const [wide, room] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    assert.ok(wide <= room, `${name} is ${wide} wide in ${room}`);
    await accessible(page, `${name}, ${size.width} wide`);
  }
  if (shots && where) {
    await page.setViewportSize(where);
    await page.evaluate(() => window.scrollTo(0, 0));
    const kind = PHOTOS.includes(name) ? { type: "jpeg", quality: 70 } : { type: "png" };
    const ending = kind.type === "png" ? "png" : "jpg";
    await page.screenshot({ ...kind, path: join(shots, `${name}.${ending}`) });
  }
}

/** Somebody at a page of their own. */
async function enter(context, name) {
  const { page, complaints, asked } = await openPage(context, `${school.url}/`);
  if (name) {
    await logIn(page, name);
  }
  return { page, complaints, asked };
}

async function logIn(page, name) {
  await page.fill("#name", name);
  await page.fill("#password", school.password);
  await page.click("main form button.primary");
  await page.locator("nav").waitFor();
}

const tab = (page, name) => page.click(`nav a[href="#${name}"]`);

/** The box's own policy forbids everything from elsewhere; an answer that refuses is no mistake. */
function quiet({ complaints, asked }, name) {
  const mistakes = complaints.filter((one) => !one.startsWith("Failed to load resource"));
  assert.deepEqual(mistakes, [], name);
  const elsewhere = asked.filter((url) => !url.startsWith(school.url) && !url.startsWith("blob:"));
  assert.deepEqual(elsewhere, [], name);
}

const people = {};
/** Each in a browser of their own, as sessions are. */
async function everybody(names, use) {
  const [name, ...rest] = names;
  if (name === undefined) return use();
  return withBrowser(
    async (context) => {
      people[name] = await enter(context, name === "admin" ? null : name);
      await everybody(rest, use);
      quiet(people[name], name);
    },
    { ignoreHTTPSErrors: true, viewport: DESK, acceptDownloads: true },
  );
}

await everybody(["admin", "c-02", "t-07", "o-01", "p-01"], async () => {
  const said = (what) => console.log(`ok ${what}`);
  const admin = people["admin"].page;
  const coach = people["c-02"].page;
  const teacher = people["t-07"].page;
  const operator = people["o-01"].page;
  const officer = people["p-01"].page;

  // The first administrator, by the code that the box printed.
  await look(admin, "login", PHONE);
  await admin.click("main .card > p > button");
  await admin.fill("#code", school.code);
  await admin.fill("#name", "a-01");
  await admin.fill("#password", school.password);
  await admin.click("main form button.primary");
  await admin.locator("main form #password[autocomplete=current-password]").waitFor();
  await logIn(admin, "a-01");
  said("first administrator");

  // What stands against a recording, in plain words.
  const stands = async () =>
    coach.$$eval("[data-reason]", (all) => all.map((one) => one.dataset.reason));
  await coach.locator("[data-reason=list-missing]").waitFor();
  for (const code of ["assessment-missing", "reminder-old", "notices-stale", "acceptance-missing"]) {
    assert.ok((await stands()).includes(code), `${code} in ${await stands()}`);
  }
  await look(coach, "coach-not-ready", PHONE);

  // The list: a mistake is shown with its line, then a good one counts.
  await admin.setInputFiles("#zip", school.broken);
  const problem = admin.locator(".problem");
  await problem.waitFor();
  assert.match(await problem.textContent(), /list\.csv, line 2/);
  await admin.setInputFiles("#zip", school.list);
  await admin.locator("[data-checked]").waitFor();
  await look(admin, "admin-list", DESK);
  await admin.click("[data-checked] button.primary");
  await admin.locator("[data-loaded]").waitFor();
  await admin.locator("tbody th", { hasText: "p-01" }).waitFor();
  said("list loaded");

  await tab(admin, "papers");
  await look(admin, "admin-registers", DESK);
  await admin.fill("#reminder-on", new Date().toISOString().slice(0, 10));
  await admin.setInputFiles("#reminder-text", school.letter);
  await admin.locator("form", { has: admin.locator("#reminder-on") }).locator("button").click();
  await admin.locator(".good", { hasText: "Entered" }).waitFor();
  for (const audience of ["door", "parents", "pupils", "staff"]) {
    await admin.selectOption("#notice-audience", audience);
    await admin.setInputFiles("#notice-text", school.letter);
    const done = admin.waitForResponse((it) => it.url().endsWith("/registers/notice"));
    await admin.locator("form", { has: admin.locator("#notice-audience") }).locator("button").click();
    assert.equal((await done).status(), 200);
    await admin.waitForLoadState("networkidle");
  }
  await tab(officer, "papers");
  await officer.fill("#assessment-reference", "IA-2026-01");
  await officer.fill("#assessment-by", "d-01");
  await officer.fill("#assessment-review", "2999-01-01");
  await officer.click("main form button.primary");
  await officer.locator(".good").waitFor();
  said("registers");

  // A key of one's own, made in the page.
  await tab(coach, "keys");
  await coach.fill("#passphrase", "short");
  await coach.fill("#again", "short");
  await coach.click("main form button.primary");
  await coach.locator(".problem", { hasText: "Too short" }).waitFor();
  const words = `${school.password}, and more`;
  await coach.fill("#passphrase", words);
  await coach.fill("#again", words);
  const [file] = await Promise.all([
    coach.waitForEvent("download", { timeout: 60_000 }),
    coach.click("main form button.primary"),
  ]);
  const key = await readFile(await file.path(), "utf8");
  await writeFile(school.coachKey, key);
  assert.ok(key.startsWith("-----BEGIN AGE ENCRYPTED FILE-----"), key);
  assert.match(await coach.locator("[data-recipient]").textContent(), /^age1[0-9a-z]{58}$/);
  said("key made");

  // Enrolled by its owner with the code that was handed over, and signed for by the teacher.
  const withKey = async (page, id, file, passphrase = "") => {
    await page.setInputFiles(`#${id}-key`, file);
    await page.fill(`#${id}-passphrase`, passphrase);
  };
  const form = (page, id) => page.locator("form", { has: page.locator(`#${id}-key`) });
  await coach.fill("#enrol-code", "AAAA-BBBB-CCCC-DDDD");
  await withKey(coach, "enrol", school.coachKey, words);
  await form(coach, "enrol").locator("button").click();
  await coach.locator(".problem").waitFor();
  await coach.fill("#enrol-code", school.coachCode);
  await form(coach, "enrol").locator("button").click();
  await coach.locator("[data-enrolled]").waitFor();
  await coach.locator("[data-person=c-02] code").waitFor();
  await look(coach, "keys", DESK);
  await tab(teacher, "keys");
  const waiting = teacher.locator("#approve-whose option", { hasText: "c-02" });
  await teacher.selectOption("#approve-whose", await waiting.getAttribute("value"));
  await withKey(teacher, "approve", school.teacherKey);
  await form(teacher, "approve").locator("button").click();
  await teacher.locator("[data-person=c-02]", { hasText: "accepted by t-07" }).waitFor();
  await look(teacher, "teacher-keys");
  await tab(coach, "lesson");
  await tab(teacher, "mine");
  said("key enrolled");


  // The teacher's yes needs the teacher's key.
  await look(teacher, "teacher", DESK);
  await teacher.fill("#accept-coach", "c-02");
  await teacher.setInputFiles("#accept-key", school.teacherKey);
  await teacher.click("main form button.primary");
  await teacher.locator("[data-accepted=true]").waitFor();
  said("teacher accepted");

  await coach.click("#checks ~ button");
  await coach.locator("#checks[data-ready=true]").waitFor();
  await coach.fill("#teacher", "t-07");
  await coach.fill("#question", "Do I wait after a question?");
  await coach.fill("#minutes", "1");
  await coach.locator("form button.primary").click();
  await coach.locator("[data-state=prepared]").waitFor();
  await coach.locator("#checks[data-ready=true]").waitFor();
  // Both see who will be able to open it, before it begins: nothing was recorded for anybody yet.
  for (const page of [coach, teacher]) {
    const opener = page.locator("[data-opener=t-07][data-new=true]");
    await opener.locator(".new", { hasText: "new" }).waitFor();
    assert.match(await opener.locator("code").textContent(), /^([0-9a-f]{4} ?){8}$/);
    assert.equal(await page.locator("[data-opener]").count(), 1);
  }
  await look(coach, "coach-ready", PHONE);
  await look(teacher, "teacher-ready", PHONE);
  await coach.click(".big.start");
  // Somebody has to be in the room.
  await coach.locator(".notice", { hasText: "press the button" }).waitFor();
  await press();
  await coach.locator("[data-state=recording]").waitFor();
  said("recording");

  for (const [name, page] of [["coach", coach], ["teacher", teacher]]) {
    const picture = page.locator("figure img");
    await picture.waitFor();
    await page.waitForFunction(() => document.querySelector("figure img").naturalWidth === 320);
    assert.equal(await page.locator("[data-opener][data-new=true]").count(), 1);
    await look(page, `${name}-recording`, PHONE);
  }
  // Two seats, by the mouse and by the keyboard.
  await coach.setViewportSize(DESK);
  await coach.click("figure figcaption button");
  const canvas = coach.locator(".seats canvas");
  await canvas.scrollIntoViewIfNeeded();
  const box = await canvas.boundingBox();
  for (const [x, y] of [[0.25, 0.25], [0.5, 0.25]]) {
    await canvas.click({ position: { x: box.width * x, y: box.height * y } });
  }
  await canvas.focus();
  for (let i = 0; i < 10; i += 1) await canvas.press("ArrowDown");
  await canvas.press("Enter");
  await coach.click(".seats .row button:nth-child(2)");
  for (const [x, y] of [[0.6, 0.6], [0.8, 0.6], [0.8, 0.9]]) {
    await canvas.click({ position: { x: box.width * x, y: box.height * y } });
  }
  await look(coach, "coach-seats");
  const [plan] = await Promise.all([
    coach.waitForEvent("download"),
    coach.click("[data-act=save-plan]"),
  ]);
  await writeFile(school.plan, await readFile(await plan.path()));
  assert.equal(await operator.locator("img").count(), 0);
  await operator.locator("text=frames in").waitFor();
  await look(operator, "operator", DESK);
  // All of it so far, since it is less than a minute; what follows is kept.
  const elapsed = () =>
    coach.locator("[data-elapsed]").textContent().then((text) => {
      const [minutes, seconds] = text.split(":");
      return Number(minutes) * 60 + Number(seconds);
    });
  await coach.click("[data-act=drop]");
  await coach.locator(".drop [role=status]").waitFor();
  const dropped = await elapsed();
  said("last minute dropped");
  while ((await elapsed()) < dropped + 6) await pause(200);
  await coach.click(".big.stop");
  await coach.locator("[data-state=sealed]").waitFor();
  assert.equal(await coach.locator("figure img").count(), 0);
  said("stopped");

  // The administrator gets outlines and no picture.
  await tab(admin, "seats");
  await admin.setInputFiles("#seat-plan", school.letter);
  await admin.locator(".problem").waitFor();
  await admin.setInputFiles("#seat-plan", school.plan);
  await admin.locator("[data-seat]").nth(1).waitFor();
  assert.match(
    await admin.locator("[data-seat]").first().textContent(),
    /^cam1:0\.2\d\d\/0\.2\d\d 0\.5\d\d\/0\.2\d\d 0\.5\d\d\/0\.3\d\d$/,
  );
  await look(admin, "admin-seats", DESK);
  said("seats drawn");

  // Listed for those who took part; counted for the others.
  await tab(coach, "recordings");
  await coach.locator("[data-recording]").waitFor();
  await look(coach, "coach-recordings");
  await tab(teacher, "recordings");
  await teacher.locator("[data-recording]").waitFor();
  await look(teacher, "teacher-recordings", DESK);
  await tab(admin, "counts");
  await admin.locator("td").first().waitFor();
  await look(admin, "admin-counts", DESK);
  said("listed");

  await teacher.click("[data-recording] button.primary");
  await teacher.setInputFiles("#key-file", school.teacherKey);
  await teacher.click(".unlock button[type=submit]");
  await teacher.locator("video").waitFor();
  await teacher.waitForFunction(() => document.querySelector("video").readyState >= 2);
  const about = await teacher.locator(".about").textContent();
  assert.match(about, /Do I wait after a question\?/);
  assert.match(about, /deleted because somebody asked for it/);
  assert.match(await teacher.locator(".watermark").textContent(), /^t-07 · [0-9a-f]{16}$/);
  await teacher.selectOption(".controls select", "2");
  await teacher.click("[data-act=play]");
  await teacher.waitForFunction(() => document.querySelector("video").ended);
  await look(teacher, "viewer", DESK);
  await teacher.click("[data-act=lock]");
  await teacher.locator("[data-locked=asked]").waitFor();
  said("watched");

  // Access is the teacher's to give: to the coach, and to a colleague who is not here.
  await tab(coach, "recordings");
  assert.equal(await coach.locator("[data-recording] button.primary").count(), 0);
  await tab(teacher, "keys");
  await tab(teacher, "recordings");
  await teacher.click("[data-act=access]");
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  const give = async (person, file) => {
    await teacher.selectOption("#grant-to", person);
    await teacher.fill("#grant-until", tomorrow);
    await withKey(teacher, "grant", file);
    await form(teacher, "grant").locator("button").click();
  };
  await give("c-02", school.otherKey);
  await teacher.locator("[data-code=not-your-key]").waitFor();
  for (const person of ["c-02", "c-09"]) {
    await give(person, school.teacherKey);
    await teacher.locator(`[data-grant=${person}]`).waitFor();
  }
  await teacher.locator("[data-looks] li", { hasText: "Access for c-02" }).waitFor();
  await look(teacher, "teacher-access", DESK);
  said("access given");

  // The coach looks with it, and leaves marks that the teacher finds.
  const unlock = async (page, file, passphrase = "") => {
    await page.click("[data-recording] button.primary");
    await page.setInputFiles("#key-file", file);
    if (passphrase) await page.locator(".unlock input[type=password]").fill(passphrase);
    await page.click(".unlock button[type=submit]");
    await page.locator("video").waitFor();
    await page.waitForFunction(() => document.querySelector("video").readyState >= 2);
  };
  await tab(coach, "keys");
  await tab(coach, "recordings");
  await unlock(coach, school.coachKey, words);
  await coach.click("[data-act=mark]");
  await coach.click("[data-act=mark]");
  await coach.fill(".marks li input", "Here nobody has time to think.");
  await coach.click("[data-act=keep]");
  await coach.locator("[data-kept]").waitFor();
  await look(coach, "coach-marks", DESK);
  // Opened again on the same page: what is kept takes the place of what was, so nothing is kept before
  // that is here.
  let free;
  const held = new Promise((done) => {
    free = done;
  });
  await coach.route("**/files/marks/**", async (route) => {
    await held;
    await route.continue();
  });
  await coach.click("[data-act=lock]");
  await coach.setInputFiles("#key-file", school.coachKey);
  await coach.locator(".unlock input[type=password]").fill(words);
  await coach.click(".unlock button[type=submit]");
  await coach.locator("[data-act=keep]").waitFor();
  assert.ok(await coach.locator("[data-act=keep]").isDisabled(), "not before one's own are here");
  free();
  await coach.waitForFunction(() => document.querySelector(".marks li input")?.value.startsWith("Here"));
  assert.ok(await coach.locator("[data-act=keep]").isEnabled());
  await coach.unroute("**/files/marks/**");
  await coach.click("[data-act=lock]");
  await tab(coach, "lesson");
  await tab(coach, "recordings");
  await unlock(coach, school.coachKey, words);
  await coach.waitForFunction(() => document.querySelector(".marks li input")?.value.startsWith("Here"));
  said("marks kept");

  // Taken back while the coach has the page open: the next look is refused.
  teacher.on("dialog", (dialog) => void dialog.accept());
  await teacher.locator("[data-grant=c-02] [data-act=revoke]").click();
  await teacher.locator("[data-grant=c-02]").waitFor({ state: "detached" });
  await teacher.locator("[data-looks] li", { hasText: "Access ended: c-02" }).waitFor();
  // Once for each time that it was opened.
  const looked = teacher.locator("[data-looks] li", { hasText: "Looked: c-02" });
  await looked.first().waitFor();
  assert.equal(await looked.count(), 3);
  await coach.click("[data-act=lock]");
  await coach.setInputFiles("#key-file", school.coachKey);
  await coach.locator(".unlock input[type=password]").fill(words);
  await coach.click(".unlock button[type=submit]");
  await coach.locator("[data-code=unreachable]").waitFor();
  await tab(coach, "lesson");
  await tab(coach, "recordings");
  await coach.locator("[data-recording]").waitFor();
  assert.equal(await coach.locator("[data-recording] button.primary").count(), 0);
  said("access taken back");

  await tab(teacher, "mine");
  await tab(teacher, "recordings");
  await unlock(teacher, school.teacherKey);
  // Signed by the key that the teacher's grant named, which is over by now.
  await teacher.locator("[data-marks-of=c-02][data-made=signed]", { hasText: "nobody has time" }).waitFor();
  assert.equal(await teacher.locator("[data-unprovable]").count(), 0);
  await teacher.click("[data-act=close-talk]");
  await teacher.locator("[data-talk-closed]").waitFor();
  await look(teacher, "teacher-talk");
  said("talk closed");

  // Somebody who was recorded objects: nobody gets it, until that is decided with a reason.
  const withheld = async (is) => {
    await tab(teacher, "mine");
    await tab(teacher, "recordings");
    await teacher.locator("[data-recording]").waitFor();
    assert.equal(await teacher.locator("[data-recording] button.primary").count(), is ? 0 : 1);
  };
  await tab(officer, "requests");
  await officer.selectOption("#request-ask", "restrict");
  await officer.fill("#request-by", "p-14");
  await officer.check("[name=recording]");
  await officer.locator("form", { has: officer.locator("#request-by") }).locator("button").click();
  await officer.locator("[data-request='1'][data-open=true]").waitFor();
  await withheld(true);
  await look(officer, "privacy-officer-requests", DESK);
  await officer.selectOption("#request-1-decision", "refused");
  await officer.setInputFiles("#request-1-reason", school.letter);
  await officer.locator("[data-request='1'] form button").click();
  await officer.locator("[data-request='1'][data-open=false]").waitFor();
  await withheld(false);
  said("request decided");

  // Held at the word of somebody who was recorded, never of the management; and not any more.
  officer.on("dialog", (dialog) => void dialog.accept());
  const hold = async (by) => {
    await officer.fill("#hold-by", by);
    await officer.setInputFiles("#hold-reason", school.letter);
    await officer.locator("form", { has: officer.locator("#hold-by") }).locator("button").click();
  };
  await hold("p-01");
  await officer.locator(".problem").waitFor();
  await hold("t-07");
  await officer.locator("[data-held]", { hasText: "asked for by t-07, approved by p-01" }).waitFor();
  await withheld(true);
  await look(officer, "privacy-officer-holds", DESK);
  await officer.click("[data-act=release]");
  await officer.locator("[data-held]").waitFor({ state: "detached" });
  await withheld(false);
  said("held and released");

  await tab(officer, "log");
  await officer.locator("li", { hasText: "list-loaded" }).first().waitFor();
  await look(officer, "privacy-officer", DESK);
  await tab(operator, "log");
  await operator.locator(".log li").first().waitFor();
  await look(operator, "operator-log", DESK);

  // The other language, and out.
  await tab(coach, "keys");
  await coach.click("header button:last-child");
  await coach.locator("nav", { hasText: "Sleutels" }).waitFor();
  assert.equal(await coach.evaluate(() => document.documentElement.lang), "nl");
  await look(coach, "keys-nl");
  await coach.click("header .row button:first-of-type");
  await coach.locator("#password").waitFor();
  said("logged out");
});
