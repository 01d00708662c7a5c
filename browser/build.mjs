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
const parts = { ...shared, entryPoints: [at("src/script.ts")], define: define(true), format: "iife", mangleProps: /^\$/, write: false };
const script = await build({ ...parts, minify: true });
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

// What each module adds to the script, gzipped: its size with the module, less that without.
const weigh = (text) => gzipSync(text, { level: 9 }).length;
const readable = await build({ ...parts, minifySyntax: true, minifyIdentifiers: true });
const modules = [];
for (const text of readable.outputFiles[0].text.replace(/\}\)\(\);\s*$/, "").split(/^ {2}\/\/ (?=\S+\.ts$)/m).slice(1)) {
  const [name] = text.split("\n", 1);
  modules.push({ name, code: (await transform(text.slice(name.length), { minifyWhitespace: true, charset })).code });
}
const without = (left) => weigh(modules.map((module) => (module === left ? "" : module.code)).join(""));
const added = modules.map((module) => [without() - without(module), module.name]).sort(([one], [other]) => other - one);
console.log(`\n${String(weigh(code)).padStart(7)} furrow.js, gzipped; of it:`);
for (const [bytes, name] of added) console.log(`${String(bytes).padStart(7)} ${name}`);
