/** Unit tests: beside what they test. The browser's tests are run by `cargo test`. */

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts"],
    setupFiles: ["test/setup.ts"],
    // A key under a passphrase takes seconds by design, and more on a busy machine.
    testTimeout: 60_000,
  },
});
