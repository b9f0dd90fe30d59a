import { NativeSelect, PasswordInput, TextInput } from "@mantine/core";
import { Problem } from "../api";
import { texts } from "../texts";
import { problemText } from "./states";

const t = texts.account.register;
const fields = ["name", "email", "phone", "role", "password"] as const;
export type Field = (typeof fields)[number];
const asked = ["doctor", "technologist", "desk", "privacy-officer", "auditor", "security-officer", "researcher", "administrator"];

/** Which field the archive found wrong: its words begin with the field's name. */
function wrongField(problem: unknown): [Field | undefined, string] {
  const said = problem ? problemText(problem) : "";
  const [, field, why] = /^(\w+): (.*)$/s.exec(said) ?? [];
  const known = fields.find((one) => one === field);
  return problem instanceof Problem && known ? [known, why ?? said] : [undefined, said];
}

/** What somebody says of themselves; each field with what was wrong with it. */
export function PersonFields({ wanted, problem, known = {} }: { wanted: Field[]; problem: unknown; known?: Partial<Record<Field, string>> }) {
  const [wrong, why] = wrongField(problem);
  const of = (field: Field) => ({ name: field, label: t[field], required: true, withAsterisk: false, defaultValue: known[field], error: wrong === field && why });
  return (
    <>
      {wanted.includes("name") && <TextInput {...of("name")} autoComplete="name" dir="auto" />}
      {wanted.includes("email") && <TextInput {...of("email")} type="email" autoComplete="username" />}
      {wanted.includes("phone") && <TextInput {...of("phone")} type="tel" autoComplete="tel" placeholder={t.phoneHint} />}
      {wanted.includes("role") && <NativeSelect {...of("role")} data={asked.map((value) => ({ value, label: texts.people.roleNames[value] ?? value }))} />}
      {wanted.includes("password") && <PasswordInput {...of("password")} autoComplete="new-password" description={t.passwordHint} />}
    </>
  );
}

/** What is wrong with no field in particular. */
export function otherProblem(problem: unknown): string {
  const [wrong, why] = wrongField(problem);
  return wrong ? "" : why;
}
