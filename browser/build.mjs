/** Builds dist/: the script bundle, the module and its types, and the bundle compressed as the collector serves it. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = process.argv[2] ?? at("dist");
const { version } = JSON.parse(readFileSync(at("package.json"), "utf8"));
const define = (isScript) => ({ VERSION: JSON.stringify(`furrow-browser/${version}`), IS_SCRIPT: String(isScript) });
const shared = {
  bundle: true,
  target: ["chrome100", "firefox100", "safari15.4"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
// Names that begin with `$` are neither sent, nor kept in the browser, nor the page's: they become short. The second pass joins what the
// first one left apart.
const script = await build({ ...shared, entryPoints: [at("src/script.ts")], define: define(true), format: "iife", minify: true, mangleProps: /^\$/, write: false });
const { target, charset } = shared;
const { code } = await transform(script.outputFiles[0].text, { minify: true, target, charset });
writeFileSync(`${out}/furrow.js`, code);
await build({ ...shared, entryPoints: [at("src/index.ts")], outfile: `${out}/index.mjs`, define: define(false), format: "esm" });

const types = spawnSync(process.execPath, [at("node_modules/typescript/bin/tsc"), "--project", at("tsconfig.json"), "--outDir", `${out}/types`], { stdio: "inherit" });
if (types.status !== 0) process.exit(1);
// A page needs the types of the calls alone.
cpSync(`${out}/types/types.d.ts`, `${out}/types.d.ts`);
cpSync(`${out}/types/index.d.ts`, `${out}/index.d.ts`);
rmSync(`${out}/types`, { recursive: true });

writeFileSync(`${out}/furrow.js.gz`, gzipSync(code, { level: 9 }));
writeFileSync(`${out}/furrow.js.br`, brotliCompressSync(code, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: code.length } }));
for (const name of readdirSync(out).sort()) console.log(`${String(readFileSync(`${out}/${name}`).length).padStart(7)} ${name}`);
