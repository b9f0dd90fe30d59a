// Writes docs/reference/gas.md from the gas snapshot, or compares (--check).
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const gas = JSON.parse(readFileSync(join(root, "snapshots", "GasTest.json"), "utf8"));
const number = (n) => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, ",");
const rows = Object.entries(gas)
  .map(([name, used]) => {
    const records = / (\d+) records?/.exec(name);
    return `| ${name} | ${number(used)} | ${records ? number(used / Number(records[1])) : ""} |`;
  })
  .join("\n");
const text = `# Gas

What each transaction of the contracts costs, the 21,000 of every transaction and its calldata included; solc 0.8.37, optimiser
200 runs, EVM version London. Written by \`contracts/test.sh --write\` from \`contracts/snapshots/GasTest.json\`, with which every test
compares. On the chains Fiducial runs on gas has no price; it bounds how much fits into a block (300 million: some 10,000 study
records) and how long a node takes.

| transaction | gas | for each record |
|---|--:|--:|
${rows}

A call (\`decide\`) costs nothing and changes nothing; its figure shows how much a node reads.
`;
const file = join(root, "..", "docs", "reference", "gas.md");
if (!process.argv.includes("--check")) {
  writeFileSync(file, text);
} else if (readFileSync(file, "utf8") !== text) {
  console.error("contracts: docs/reference/gas.md is not what the snapshot says; run contracts/test.sh --write");
  process.exit(1);
}
