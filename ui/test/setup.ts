/** Node 18 has the browser's `crypto` under another name. */

import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto as Crypto;
