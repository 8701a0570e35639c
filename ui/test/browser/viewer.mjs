/**
 * The viewer that is one file, in a real browser, on a real recording.
 *
 *   node viewer.mjs FOLDER
 *
 * FOLDER holds viewer.html, recording/ (a sealed recording), box.pub, teacher.key (a recipient),
 * other.key (not one), and other-box.pub. Copies of the recording are damaged in it.
 */

import { strict as assert } from "node:assert";
import { cp, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { Decrypter, Encrypter } from "age-encryption";

import { accessible, holds, openPage, run, withBrowser } from "./support.mjs";

const school = process.argv[2] ?? assert.fail("give the folder of the test");
const at = (name) => join(school, name);
const recording = at("recording");
const viewer = pathToFileURL(at("viewer.html")).href;
const PASSPHRASE = "correct horse battery staple";

async function pick(page, folder, boxKey) {
  if (boxKey) await page.setInputFiles("#box-key", boxKey);
  await page.setInputFiles("#folder", folder);
}

async function unlock(page, key, passphrase = "") {
  await page.setInputFiles("#key-file", key);
  await page.fill("#passphrase", passphrase);
  await page.click(".unlock button[type=submit]");
}

/** The code of what the page refuses, and its sentence. */
async function refusal(page) {
  const said = page.locator(".problem[data-code]");
  await said.waitFor();
  return { code: await said.getAttribute("data-code"), text: await said.textContent() };
}

/** A copy of the recording with something done to it. */
async function damaged(name, damage) {
  const folder = at(name);
  await rm(folder, { recursive: true, force: true });
  await cp(recording, folder, { recursive: true });
  await damage(folder);
  return folder;
}

async function flip(path, from) {
  const file = await open(path, "r+");
  const { size } = await file.stat();
  const place = from ?? Math.floor(size / 2);
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, place);
  byte[0] ^= 1;
  await file.write(byte, 0, 1, place);
  await file.close();
}

const decrypt = async (key, file) => {
  const decrypter = new Decrypter();
  decrypter.addIdentity(key);
  return decrypter.decrypt(file);
};
const secret = (text) => text.match(/AGE-SECRET-KEY-1[0-9A-Z]+/)[0];

async function locked() {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(PASSPHRASE);
  // Quick, so that what is measured is the viewer; stock age's own work factor takes a second.
  encrypter.setScryptWorkFactor(14);
  const path = at("locked.key");
  await writeFile(path, await encrypter.encrypt(await readFile(at("teacher.key"))));
  return path;
}

await run({
  async "a recording plays, and nothing of it stays or leaves"() {
    const key = await locked();
    await withBrowser(async (context, profile) => {
      const { page, complaints, asked } = await openPage(context, viewer);
      await accessible(page, "the empty viewer");
      await pick(page, recording, at("box.pub"));
      await page.locator("#about").waitFor();
      const about = await page.locator(".about").textContent();
      for (const words of ["Coaching of the teacher", "appraisal", "t-07", "age1", "box of your box.pub"]) {
        assert.ok(about.includes(words), `${words} in: ${about}`);
      }
      await accessible(page, "a locked recording");
      await unlock(page, key, "wrong");
      assert.equal((await refusal(page)).code, "wrong-passphrase");
      await page.evaluate(() => {
        window.begun = 0;
        const button = document.querySelector(".unlock button[type=submit]");
        button.addEventListener("click", () => (window.begun = performance.now()));
        new MutationObserver((_, it) => {
          const video = document.querySelector("video");
          if (!video) return;
          it.disconnect();
          video.addEventListener("loadeddata", () => (window.took = performance.now() - window.begun));
        }).observe(document.body, { childList: true, subtree: true });
      });
      await unlock(page, key, PASSPHRASE);
      await page.waitForFunction(() => window.took > 0);
      const took = await page.evaluate(() => Math.round(window.took));
      console.log(`   first picture ${took} ms after the passphrase`);
      const size = await page.$eval("video", (it) => [it.videoWidth, it.videoHeight]);
      assert.deepEqual(size, [320, 240]);
      await accessible(page, "an open recording");
      // Who looks stands on the picture: the fingerprint of the key, which nobody makes up.
      assert.match(await page.locator(".watermark").textContent(), /^[0-9a-f]{16}$/);
      // To the last segment and back, as people jump.
      const end = await page.$eval(".controls > input", (it) => Number(it.max));
      for (const place of [end - 0.5, 0.1]) {
        await page.$eval(
          ".controls > input",
          (it, to) => {
            it.value = String(to);
            it.dispatchEvent(new Event("input", { bubbles: true }));
          },
          place,
        );
        await page.waitForFunction(
          (to) => {
            const video = document.querySelector("video");
            return !video.seeking && video.readyState >= 2 && Math.abs(video.currentTime - to) < 0.3;
          },
          place,
        );
      }
      await page.selectOption(".controls select", "2");
      await page.click("[data-act=mark]");
      await page.click("[data-act=play]");
      await page.waitForFunction(() => document.querySelector("video").ended);
      const frames = await page.$eval("video", (it) => it.getVideoPlaybackQuality().totalVideoFrames);
      assert.ok(frames > 20, `${frames} frames`);
      const shown = await page.$eval("video", (it) => it.currentTime);
      assert.ok(Math.abs(shown - end) < 0.2, `ended at ${shown} of ${end}`);

      // Marks leave the page under the recording's key only.
      await page.click("[data-act=mark]");
      await page.fill(".marks input[type=text]", "waits after the question");
      const [saved] = await Promise.all([page.waitForEvent("download"), page.click("[data-act=save]")]);
      const file = await readFile(await saved.path());
      assert.ok(!file.includes("waits after"), "the note is encrypted");
      const teacher = secret(await readFile(at("teacher.key"), "utf8"));
      const wrapped = await decrypt(teacher, await readFile(join(recording, "key.age")));
      const own = secret(Buffer.from(wrapped).toString());
      const [kind, claim, , signature] = Buffer.from(await decrypt(own, file)).toString().split("\n");
      const marks = JSON.parse(claim);
      assert.equal(kind, "classveil-marks/2");
      assert.equal(marks.marks[0].note, "waits after the question");
      // The key says who it is: nobody is logged in here.
      assert.equal(marks.by, "t-07");
      assert.match(signature, /^\u2014 t-07 /);
      await writeFile(at("marks.age"), file);
      await page.click(".marks .list button:last-child");
      await page.setInputFiles(".marks input[type=file]", at("marks.age"));
      await page.waitForFunction(
        () => document.querySelector(".marks input[type=text]")?.value === "waits after the question",
      );

      // Locked by hand: key and picture are gone, and the form is back.
      await page.click("[data-act=lock]");
      await page.locator("[data-locked=asked]").waitFor();
      assert.equal(await page.locator("video").count(), 0);
      await unlock(page, at("teacher.key"));
      await page.waitForFunction(() => document.querySelector("video")?.readyState >= 2);

      assert.deepEqual(complaints, []);
      // Blob addresses are the page's own memory.
      const elsewhere = asked.filter((url) => url !== viewer && !url.startsWith("blob:"));
      assert.deepEqual(elsewhere, [], "what the page asked for");
      const plain = await decrypt(own, await readFile(join(recording, "cam1/000001.mp4.age")));
      const picture = Buffer.from(plain).indexOf("mdat") + 200;
      const samples = {
        picture: Buffer.from(plain).subarray(picture, picture + 32),
        "recording's key": Buffer.from(own),
        "teacher's key": Buffer.from(teacher),
        passphrase: Buffer.from(PASSPHRASE),
      };
      await page.close();
      assert.ok(await holds(profile, Buffer.from("profile")), "the profile is read");
      for (const [what, needle] of Object.entries(samples)) {
        assert.equal(await holds(profile, needle), null, `the ${what} in the browser's profile`);
      }
    });
  },

  async "a viewer that nobody touches locks itself"() {
    await withBrowser(async (context) => {
      const { page } = await openPage(context);
      await page.clock.install();
      await page.goto(viewer);
      await pick(page, recording);
      await page.locator("#key-file").waitFor();
      assert.match(await page.locator("[data-signer]").textContent(), /Compare this/);
      await unlock(page, at("teacher.key"));
      await page.locator("video").waitFor();
      await page.waitForFunction(() => document.querySelector("video").readyState >= 2);
      await page.clock.fastForward("09:30");
      await page.clock.runFor(1000);
      assert.equal(await page.locator("video").count(), 1, "not before its time");
      await page.clock.fastForward("01:00");
      await page.locator("[data-locked=idle]").waitFor();
      assert.equal(await page.locator("video").count(), 0);
    });
  },

  async "what does not fit is refused with its reason"() {
    const manifest = async (folder, change) => {
      const path = join(folder, "manifest.json");
      await writeFile(path, change(await readFile(path, "utf8")));
    };
    const second = "cam1/000002.mp4.age";
    // [name, what is done, code, words of the sentence, whether the key is needed to find out]
    const cases = [
      ["flipped", (f) => flip(join(f, second)), "altered", second, true],
      ["short", async (f) => {
        const path = join(f, second);
        await writeFile(path, (await readFile(path)).subarray(0, -10));
      }, "length", second, false],
      ["missing", (f) => rm(join(f, second)), "missing", second, false],
      ["swapped", async (f) => {
        await rename(join(f, second), join(f, "x"));
        await rename(join(f, "cam1/000003.mp4.age"), join(f, second));
        await rename(join(f, "x"), join(f, "cam1/000003.mp4.age"));
      }, "length", "cam1/00000", false],
      ["later", (f) => manifest(f, (it) => it.replace('"delete_by": "20', '"delete_by": "21')),
        "altered", "manifest.json", false],
      ["unsigned", (f) => rm(join(f, "manifest.json.minisig")), "missing", "minisig", false],
      ["signature", async (f) => {
        // Another letter of base64: what is no letter of it is refused as no signature at all.
        const path = join(f, "manifest.json.minisig");
        const text = await readFile(path, "utf8");
        const other = text[90] === "A" ? "B" : "A";
        await writeFile(path, text.slice(0, 90) + other + text.slice(91));
      }, "altered", "manifest.json", false],
      ["garbled", async (f) => {
        const path = join(f, "manifest.json.minisig");
        const text = await readFile(path, "utf8");
        await writeFile(path, `${text.slice(0, 90)}!${text.slice(91)}`);
      }, "signature", "minisig", false],
      ["journal", async (f) => {
        const path = join(f, "segments.jsonl");
        const lines = (await readFile(path, "utf8")).split("\n");
        await writeFile(path, [lines[1], lines[0], ...lines.slice(2)].join("\n"));
      }, "chain", "Line 1", false],
      ["cut", async (f) => {
        const path = join(f, "segments.jsonl");
        const lines = (await readFile(path, "utf8")).split("\n");
        await writeFile(path, [...lines.slice(0, -2), ""].join("\n"));
      }, "journal", "segments.jsonl", false],
      ["key", (f) => flip(join(f, "key.age")), "altered", "key.age", true],
      ["empty", async (f) => { await rm(join(f, "manifest.json")); }, "not-a-recording", "manifest", false],
    ];
    await withBrowser(async (context) => {
      const { page } = await openPage(context, viewer);
      for (const [name, damage, code, words, keyed] of cases) {
        const folder = await damaged(`damaged-${name}`, damage);
        await page.reload();
        await pick(page, folder, at("box.pub"));
        if (keyed) await unlock(page, at("teacher.key"));
        const said = await refusal(page);
        assert.equal(said.code, code, `${name}: ${said.text}`);
        assert.ok(said.text.includes(words), `${name}: ${said.text}`);
        assert.equal(await page.locator("video").count(), 0, name);
      }
      await page.reload();
      await pick(page, recording);
      await unlock(page, at("other.key"));
      assert.equal((await refusal(page)).code, "wrong-key");
      await page.reload();
      await pick(page, recording, at("other-box.pub"));
      assert.equal((await refusal(page)).code, "other-box");
      await page.reload();
      await page.setInputFiles("#box-key", at("teacher.key"));
      assert.equal((await refusal(page)).code, "bad-box-key");
      await page.reload();
      await pick(page, recording);
      await unlock(page, at("box.pub"));
      assert.equal((await refusal(page)).code, "bad-identity");
      // The same in the other language.
      await page.click("header button");
      assert.match((await refusal(page)).text, /geen sleutelbestand/);
    });
  },
});
