/** What the browser tests share: a browser of their own, and checks that say what they saw. */

import { strict as assert } from "node:assert";
import { createRequire } from "node:module";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** A browser with a fresh profile, which goes when `use` is done. */
export async function withBrowser(use, options = {}) {
  const profile = await mkdtemp(join(tmpdir(), "classveil-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CLASSVEIL_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    chromiumSandbox: false,
    locale: "en-GB",
    env: { ...process.env, HOME: profile },
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--mute-audio",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-dev-shm-usage",
      "--autoplay-policy=no-user-gesture-required",
    ],
    ...options,
  });
  context.setDefaultTimeout(30_000);
  try {
    return await use(context, profile);
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A page that fails the test where it logs an error, and notes what it asks for. */
export async function openPage(context, address) {
  const page = await context.newPage();
  const complaints = [];
  const asked = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("request", (request) => asked.push(request.url()));
  if (address) await page.goto(address);
  return { page, complaints, asked };
}

/**
 * No finding that axe calls serious or critical. The watermark is meant to be faint, lies over a film
 * whose colours axe does not see, and says nothing that is not said elsewhere.
 */
export async function accessible(page, name) {
  // In a world of its own: the page's policy lets nothing run that is not the page's.
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", {
    frameId: frameTree.frame.id,
  });
  const run = async (expression) => {
    const answer = await session.send("Runtime.evaluate", {
      expression,
      contextId: executionContextId,
      awaitPromise: true,
      returnByValue: true,
    });
    assert.ok(!answer.exceptionDetails, JSON.stringify(answer.exceptionDetails));
    return answer.result.value;
  };
  await run(await readFile(AXE, "utf8"));
  const found = await run(
    `axe.run({ exclude: [".watermark"] }).then((it) => it.violations
      .filter((one) => one.impact === "serious" || one.impact === "critical")
      .map((one) => one.id + ": " + one.nodes.map((node) => node.html).join(" | ")))`,
  );
  await session.detach();
  assert.deepEqual(found, [], `axe on ${name}`);
}

/** Whether any file below `folder` holds `needle`. */
export async function holds(folder, needle) {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const about = await stat(path).catch(() => null);
    if (about?.isDirectory()) {
      const inside = await holds(path, needle);
      if (inside) return inside;
    } else if (about?.isFile() && (await readFile(path).catch(() => Buffer.of())).includes(needle)) {
      return path;
    }
  }
  return null;
}

/** Runs each test by its name; the first failure ends the program with its reason. */
export async function run(tests) {
  for (const [name, test] of Object.entries(tests)) {
    const begun = Date.now();
    try {
      await test();
    } catch (error) {
      console.error(`FAILED ${name}\n${error.stack ?? error}`);
      process.exit(1);
    }
    console.log(`ok ${name} (${Date.now() - begun} ms)`);
  }
}
