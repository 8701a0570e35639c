/**
 * How long a recording takes from the passphrase to its first picture, and from a jump to the next.
 *
 *   node start.mjs VIEWER.html RECORDING_DIR IDENTITY
 *
 * The identity is put under a passphrase with the work factor of stock age first.
 */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { Encrypter } from "age-encryption";

import { openPage, withBrowser } from "./support.mjs";

const [viewer, recording, identity] = process.argv.slice(2).map((path) => resolve(path));
const PASSPHRASE = "correct horse battery staple";
const folder = await mkdtemp(join(tmpdir(), "classveil-start-"));
const key = join(folder, "locked.key");
const encrypter = new Encrypter();
encrypter.setPassphrase(PASSPHRASE);
await writeFile(key, await encrypter.encrypt(await readFile(identity)));

await withBrowser(async (context) => {
  const { page } = await openPage(context, pathToFileURL(viewer).href);
  const picked = Date.now();
  await page.setInputFiles("#folder", recording);
  await page.locator("#key-file").waitFor();
  console.log(`checked ${Date.now() - picked} ms after the folder was picked`);
  await page.setInputFiles("#key-file", key);
  await page.fill("#passphrase", PASSPHRASE);
  await page.evaluate(() => {
    const button = document.querySelector(".unlock button[type=submit]");
    button.addEventListener("click", () => (window.begun = performance.now()));
    new MutationObserver((_, it) => {
      const video = document.querySelector("video");
      if (!video) return;
      it.disconnect();
      window.opened = performance.now() - window.begun;
      video.addEventListener("loadeddata", () => (window.took = performance.now() - window.begun));
    }).observe(document.body, { childList: true, subtree: true });
  });
  await page.click(".unlock button[type=submit]");
  await page.waitForFunction(() => window.took > 0);
  const [opened, took] = await page.evaluate(() => [window.opened, window.took].map(Math.round));
  console.log(`opened ${opened} ms, first picture ${took} ms after the passphrase`);
  const jump = await page.evaluate(async () => {
    const video = document.querySelector("video");
    const begun = performance.now();
    video.currentTime = video.duration * 0.6;
    await new Promise((done) => video.addEventListener("seeked", done, { once: true }));
    return [Math.round(performance.now() - begun), Math.round(video.duration)];
  });
  console.log(`jump ${jump[0]} ms, in ${jump[1]} s of recording`);
});
await rm(folder, { recursive: true });
