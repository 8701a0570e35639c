/**
 * Builds the viewer as one file, `dist/viewer.html`, that needs nothing else. Its own policy lets it
 * run just this script and this style and lets it connect to nowhere: what it opens cannot leave.
 */

import { createHash } from "node:crypto";
import { defineConfig, type Plugin } from "vite";

const digest = (text: string): string =>
  `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    generateBundle(_options, bundle) {
      let script = "";
      let style = "";
      let page: { source: string | Uint8Array } | undefined;
      for (const [name, part] of Object.entries(bundle)) {
        if (part.type === "chunk") script += part.code;
        else if (name.endsWith(".css")) style += String(part.source);
        else if (name.endsWith(".html")) page = part;
        if (!name.endsWith(".html")) delete bundle[name];
      }
      if (!page || !script || !style) throw new Error("the viewer lacks its page, script or style");
      // The end tag of a script ends it wherever it stands, in a string too.
      script = script.replaceAll("</script", "<\\/script").trim();
      style = style.trim();
      const policy = [
        "default-src 'none'",
        // WebAssembly, for the arithmetic of a passphrase: what this very script carries, no other.
        `script-src ${digest(script)} 'wasm-unsafe-eval'`,
        `style-src ${digest(style)}`,
        "media-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
      ].join("; ");
      page.source = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        `<meta http-equiv="Content-Security-Policy" content="${policy}">\n`,
        '<meta name="referrer" content="no-referrer">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        `<title>classveil</title>\n<style>${style}</style>\n</head>\n<body>\n<div id="app"></div>\n`,
        `<script type="module">${script}</script>\n</body>\n</html>\n`,
      ].join("");
    },
  };
}

export default defineConfig({
  plugins: [oneFile()],
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    outDir: "dist",
    emptyOutDir: false,
    // Its icon and such are the pages'.
    copyPublicDir: false,
    target: "es2022",
    cssCodeSplit: false,
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      input: "viewer.html",
      output: { inlineDynamicImports: true },
      onwarn: (warning, warn) => warning.code === "INVALID_ANNOTATION" || warn(warning),
    },
  },
});
