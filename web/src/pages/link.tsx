// Links that open something once: the first administrator's, invitations, new passwords. What opens them stands behind the "#", which
// no server log sees.
import { Alert, Button, Stack, Text } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { sendAnonymously } from "../api";
import { Entry } from "../parts/entry";
import { type Field, PersonFields, otherProblem } from "../parts/person_fields";
import { Loading, problemText } from "../parts/states";
import { type Step, Steps } from "../parts/steps";
import { texts } from "../texts";

const t = texts.account.link;

interface Link {
  kind: "administrator" | "invitation" | "password" | "email" | "patient";
  name?: string;
  email?: string;
  roles?: string[];
}
const wanted: Record<Link["kind"], Field[]> = {
  administrator: ["name", "email", "phone", "password"],
  invitation: ["name", "phone", "password"],
  password: ["password"],
  email: [],
  patient: ["name", "password"],
};

export default function LinkPage() {
  const [link] = useState(() => location.hash.slice(1));
  const asked = useQuery({ queryKey: ["link", link], queryFn: () => sendAnonymously<Link>("/links", { link }), retry: false });
  const use = useMutation({ mutationFn: (form: FormData) => sendAnonymously<Step>("/links/use", { link, ...Object.fromEntries(form) }) });
  if (use.data) return <Steps first={use.data} then="/" />;
  if (asked.isPending) return <Loading />;
  if (asked.isError)
    return (
      <Entry title={t.none} text={t.noneText}>
        <Text size="sm">{problemText(asked.error)}</Text>
        <Button component="a" href="/login" variant="default">
          {texts.account.step.toLogIn}
        </Button>
      </Entry>
    );
  const { kind, name, email, roles = [] } = asked.data;
  const fields = kind === "invitation" && !email ? ([...wanted[kind], "email"] as Field[]) : wanted[kind];
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    use.mutate(new FormData(event.currentTarget));
  };
  return (
    <Entry title={t[kind]} text={roles.length > 0 ? t.roles(roles.map((role) => texts.people.roleNames[role] ?? role).join(", ")) : undefined}>
      <form onSubmit={submit}>
        <Stack gap="sm">
          {email && <Text size="sm">{email}</Text>}
          <PersonFields wanted={fields} problem={use.error} known={{ name, email }} />
          {use.isError && otherProblem(use.error) && (
            <Alert role="alert" color="red">
              {otherProblem(use.error)}
            </Alert>
          )}
          <Button type="submit" loading={use.isPending}>
            {t.go}
          </Button>
        </Stack>
      </form>
    </Entry>
  );
}
