// Writes numbers with the verdicts of libphonenumber-js: node make_verdicts.mjs [folder of the package] > verdicts.json
import { readFileSync } from "node:fs";
const at = process.argv[2] ?? "libphonenumber-js";
const { parsePhoneNumberFromString } = (await import(at + "/min/index.cjs")).default;
const examples = JSON.parse(readFileSync(at + "/examples.mobile.json", "utf8"));
const metadata = JSON.parse(readFileSync(at + "/metadata.min.json", "utf8"));
const rows = new Map();
for (const [country, national] of Object.entries(examples)) {
  const code = metadata.countries[country][0];
  const changed = [national, national.slice(0, -1), national.slice(0, -2), national.slice(0, 3), national + "1", national + "123456"];
  for (const first of "0123456789") changed.push(first + national.slice(1));
  for (const text of changed) {
    const number = "+" + code + text;
    const parsed = parsePhoneNumberFromString(number);
    rows.set(number, parsed !== undefined && parsed.number === number && parsed.isValid());
  }
}
console.log(JSON.stringify({ made_by: "libphonenumber-js 1.13.16, metadata.min.json", numbers: Object.fromEntries(rows) }));
