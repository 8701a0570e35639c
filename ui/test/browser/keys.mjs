/**
 * Keys of people on the pages of a real box: enrolled, replaced by the older one's signature, vouched for,
 * ended; and the pages of those who see numbers, or what was granted, and nothing else.
 *
 *   node keys.mjs SCHOOL.json
 *
 * SCHOOL.json: url, password, officerCode (for a first key of p-01), coachCode (for another key of c-02),
 * coachNew (its public half), officerKey and teacherNew (key files), teacherKey, coachNewKey, note (where
 * to put what the teacher signs). In the directory t-07 and c-02 have keys; accounts t-07, c-02, p-01,
 * s-09 (a viewer) and m-01 (a manager) exist.
 */

import { strict as assert } from "node:assert";
import { readFile, writeFile } from "node:fs/promises";

import { accessible, openPage, withBrowser } from "./support.mjs";

const school = JSON.parse(await readFile(process.argv[2], "utf8"));

/** What somebody does at a page of their own. */
async function as(name, use) {
  await withBrowser(
    async (context) => {
      const { page, complaints } = await openPage(context, `${school.url}/`);
      page.on("dialog", (dialog) => void dialog.accept());
      await page.fill("#name", name);
      await page.fill("#password", school.password);
      await page.click("main form button.primary");
      await page.locator("nav").waitFor();
      await use(page);
      const mistakes = complaints.filter((one) => !one.startsWith("Failed to load resource"));
      assert.deepEqual(mistakes, [], name);
      console.log(`ok ${name}`);
    },
    { ignoreHTTPSErrors: true, viewport: { width: 390, height: 844 }, acceptDownloads: true },
  );
}

const keysPage = async (page) => {
  await page.click('nav a[href="#keys"]');
  await page.locator("[data-person=t-07]").waitFor();
};
const form = (page, id) => page.locator("form", { has: page.locator(`#${id}`) });
const submit = (page, id) => form(page, id).locator("button").click();
const counting = (page, person) => page.locator(`[data-person=${person}] [data-counts=true]`);
const tabs = (page) => page.locator("nav a").evaluateAll((all) => all.map((one) => one.hash));

await as("p-01", async (page) => {
  await keysPage(page);
  assert.equal(await counting(page, "p-01").count(), 0);
  await page.fill("#enrol-code", school.officerCode);
  await page.setInputFiles("#enrol-key", school.officerKey);
  await submit(page, "enrol-code");
  await page.locator("[data-enrolled]").waitFor();
  await counting(page, "p-01").waitFor();
  await accessible(page, "the officer's keys");
});

await as("t-07", async (page) => {
  await keysPage(page);
  const before = await counting(page, "t-07").locator("code").textContent();
  // A key that is not one's own signs for nothing.
  await page.selectOption("#enrol-way", "older");
  await page.setInputFiles("#enrol-key", school.teacherNew);
  await page.setInputFiles("#older-key", school.officerKey);
  await submit(page, "enrol-way");
  await page.locator("[data-code=not-your-key]").waitFor();
  // The older one's signature, at once and in its place. Neither key is sent.
  const sent = [];
  page.on("request", (request) => sent.push(request.postData() ?? ""));
  await page.setInputFiles("#older-key", school.teacherKey);
  await page.selectOption("#enrol-replaces", { index: 1 });
  await submit(page, "enrol-way");
  await page.locator("[data-enrolled]").waitFor();
  await page.waitForFunction(
    (old) => document.querySelector("[data-person=t-07] code")?.textContent !== old,
    before,
  );
  assert.equal(await counting(page, "t-07").count(), 1);
  assert.ok(sent.some((body) => body.includes("classveil-key-change/1")));
  assert.ok(!sent.some((body) => body.includes("AGE-SECRET-KEY")), "a key was sent");
  // Another's new key: the file is what `people accept` and `people enrol` take.
  await page.selectOption("#vouch-whose", "c-02");
  await page.fill("#vouch-recipient", school.coachNew);
  await form(page, "vouch-whose").locator("code").waitFor();
  // What else the signature does is said before it is made.
  await page.locator("[data-accepts]", { hasText: "your own recordings" }).waitFor();
  await page.setInputFiles("#vouch-key", school.teacherNew);
  const [file] = await Promise.all([page.waitForEvent("download"), submit(page, "vouch-whose")]);
  await page.locator("[data-vouched]").waitFor();
  assert.equal(file.suggestedFilename(), "c-02-by-t-07.note");
  await writeFile(school.note, await readFile(await file.path()));
  await page.click("header .row button:last-child");
  await page.locator("nav", { hasText: "Sleutels" }).waitFor();
  await accessible(page, "the teacher's keys");
});

await as("c-02", async (page) => {
  await keysPage(page);
  await page.selectOption("#enrol-way", "approved");
  await page.fill("#enrol-code", school.coachCode);
  await page.setInputFiles("#enrol-key", school.coachNewKey);
  await page.setInputFiles("#enrol-approvals", [school.note]);
  await submit(page, "enrol-way");
  // The teacher's key has not counted for 72 hours, and the officer has not signed.
  const said = await page.locator(".problem", { hasText: "72" }).textContent();
  assert.match(said, /approval of a teacher/);
  // One's only key ends by one's own signature.
  await page.selectOption("#end-which", { index: 1 });
  await page.setInputFiles("#end-key", school.coachKey);
  await submit(page, "end-which");
  await counting(page, "c-02").waitFor({ state: "detached" });
});

await as("m-01", async (page) => {
  assert.deepEqual(await tabs(page), ["#counts"]);
  await page.locator("[data-kept]", { hasText: "0" }).waitFor();
  await accessible(page, "the manager's counts");
});

await as("s-09", async (page) => {
  assert.deepEqual(await tabs(page), ["#recordings", "#keys"]);
  await page.locator("main", { hasText: "There are no recordings of yours." }).waitFor();
});
