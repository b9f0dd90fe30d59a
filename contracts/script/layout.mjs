// Compares the storage layout of each contract with test/layout.json, or writes that file (--write). State on a chain cannot be
// moved: a change here is a new contract with a new address.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const layouts = {};
for (const name of ["Members", "Studies", "Consents", "Checkpoints", "Directory"]) {
  const { storage, types } = JSON.parse(readFileSync(join(root, "out", `${name}.sol`, `${name}.json`), "utf8")).storageLayout;
  const plain = (type) => type.replace(/\)\d+_storage/g, ")_storage").replace(/\)\d+/g, ")"); // without compiler ids
  const structs = {};
  for (const [type, facts] of Object.entries(types)) {
    if (!facts.members) continue;
    structs[plain(type)] = facts.members.map((m) => `${m.slot}+${m.offset} ${m.label} ${plain(m.type)}`);
  }
  layouts[name] = {
    state: storage.map((s) => `${s.slot}+${s.offset} ${s.label} ${plain(s.type)}`),
    structs: Object.fromEntries(Object.entries(structs).sort()),
  };
}
const text = JSON.stringify(layouts, null, 1) + "\n";
const file = join(root, "test", "layout.json");
if (process.argv.includes("--write")) {
  writeFileSync(file, text);
} else if (readFileSync(file, "utf8") !== text) {
  console.error("contracts: the storage layout is not that of test/layout.json (node script/layout.mjs --write, if that is meant)");
  process.exit(1);
}
