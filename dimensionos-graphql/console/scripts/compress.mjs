// Compresses what was built, once: the server sends these files as they are. `npm run build` runs it last.
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const brotli = promisify(brotliCompress);
const zip = promisify(gzip);

/**
 * Brotli at its best takes a second for each megabyte, and nobody waits for that but who builds.
 * @param {Buffer} bytes
 */
function brotliOptions(bytes) {
  return {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  };
}

/** @type {{ name: string, bytes: number, brotli: number, gzip: number }[]} */
const sizes = [];
const entries = await readdir(dist, { recursive: true, withFileTypes: true });
const files = entries.filter((entry) => entry.isFile() && !/\.(br|gz)$/.test(entry.name));
await Promise.all(
  files.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    const [br, gz] = await Promise.all([brotli(bytes, brotliOptions(bytes)), zip(bytes, { level: 9 })]);
    await Promise.all([writeFile(`${path}.br`, br), writeFile(`${path}.gz`, gz)]);
    sizes.push({ name: path.slice(dist.length + 1), bytes: bytes.length, brotli: br.length, gzip: gz.length });
  }),
);

sizes.sort((one, other) => other.bytes - one.bytes);
const row = (/** @type {(string | number)[]} */ ...cells) =>
  console.log(cells.map((cell, at) => (at === 0 ? String(cell).padEnd(52) : String(cell).padStart(10))).join(""));
row("file", "bytes", "brotli", "gzip");
for (const { name, ...size } of sizes) row(name, size.bytes, size.brotli, size.gzip);
