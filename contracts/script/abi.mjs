// Writes abi/<Name>.json from the compiler's output, or compares (--check).
// Form: {"abi": [...], "bytecode": "0x…" (constructor arguments follow it), "deployedBytecode": "0x…" (immutables are
// zeros there), "immutableReferences": [{"start": byte, "length": 32}, …] ascending}.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const check = process.argv.includes("--check");
const names = ["Members", "Studies", "Consents", "Checkpoints", "Directory"];
let differing = 0;

mkdirSync(join(root, "abi"), { recursive: true });
for (const name of names) {
  const artifact = JSON.parse(readFileSync(join(root, "out", `${name}.sol`, `${name}.json`), "utf8"));
  if (Object.keys(artifact.bytecode.linkReferences).length !== 0) throw new Error(`${name}: unlinked libraries`);
  const references = Object.values(artifact.deployedBytecode.immutableReferences ?? {})
    .flat()
    .sort((a, b) => a.start - b.start);
  const text =
    JSON.stringify(
      {
        abi: artifact.abi,
        bytecode: artifact.bytecode.object,
        deployedBytecode: artifact.deployedBytecode.object,
        immutableReferences: references,
      },
      null,
      1,
    ) + "\n";
  const file = join(root, "abi", `${name}.json`);
  if (!check) {
    writeFileSync(file, text);
    continue;
  }
  let committed = "";
  try {
    committed = readFileSync(file, "utf8");
  } catch {
    // missing counts as differing
  }
  if (committed !== text) {
    console.error(`contracts: abi/${name}.json is not what the sources give; run contracts/build`);
    differing = 1;
  }
}
process.exit(differing);
