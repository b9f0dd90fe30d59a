import { Alert, Anchor, Button, NativeSelect, PasswordInput, Stack, Text, TextInput, UnstyledButton } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { problemOf, sendAnonymously } from "../api";
import { destination } from "../parts/destination";
import { Entry } from "../parts/entry";
import { Loading, problemText } from "../parts/states";
import { type Step, Steps } from "../parts/steps";
import { texts } from "../texts";

const t = texts.logIn;

async function withToken(form: FormData): Promise<Step> {
  const body = new URLSearchParams({ token: String(form.get("token")), purpose: String(form.get("purpose")) });
  const answer = await fetch("/session", { method: "POST", body });
  if (answer.status === 401) throw new Error(t.unknown);
  if (answer.status === 429) throw new Error(t.tooMany);
  if (!answer.ok) throw await problemOf(answer, texts.problem.unexpected);
  return { step: "done" };
}

interface Demo {
  people: { name: string; roles: string }[];
}

/** On a demo site: one click, and one is somebody. */
function Cards({ demo, onOther }: { demo: Demo; onOther: () => void }) {
  const enter = useMutation({
    mutationFn: async (person: Demo["people"][number]) => {
      const purpose = person.roles.startsWith("doctor") || person.roles.startsWith("technologist") ? "treatment" : "administration";
      const answer = await fetch("/session", { method: "POST", body: new URLSearchParams({ demo: person.name, purpose }) });
      if (!answer.ok) throw await problemOf(answer, texts.problem.unexpected);
    },
    onSuccess: () => location.replace(destination()),
  });
  return (
    <Entry title={texts.demo.who} text={texts.demo.whoText}>
      {demo.people.map((person) => {
        const [title, words] = texts.demo.people[person.name] ?? [person.name, person.roles];
        return (
          <UnstyledButton key={person.name} className="card" disabled={enter.isPending} onClick={() => enter.mutate(person)}>
            <Text fw={600}>{title}</Text>
            <Text size="sm" className="dimmed">
              {words}
            </Text>
          </UnstyledButton>
        );
      })}
      {enter.isError && (
        <Alert role="alert" color="red">
          {problemText(enter.error)}
        </Alert>
      )}
      <Anchor component="button" type="button" size="sm" onClick={onOther}>
        {texts.demo.other}
      </Anchor>
    </Entry>
  );
}

export function LogIn() {
  const demo = useQuery({ queryKey: ["demo"], queryFn: async (): Promise<Demo> => (await fetch("/demo")).json(), staleTime: Infinity, retry: false });
  const [other, setOther] = useState(false);
  if (demo.isPending) return <Loading />;
  if (!other && demo.data && demo.data.people.length > 0) return <Cards demo={demo.data} onOther={() => setOther(true)} />;
  return <LogInForm />;
}

function LogInForm() {
  const [byToken, setByToken] = useState(false);
  const logIn = useMutation({
    mutationFn: (form: FormData) => (byToken ? withToken(form) : sendAnonymously<Step>("/session/password", { email: form.get("email"), password: form.get("password"), purpose: form.get("purpose") })),
  });
  if (logIn.data) return <Steps first={logIn.data} then={destination()} />;
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    logIn.mutate(new FormData(event.currentTarget));
  };
  const change = () => {
    logIn.reset();
    setByToken(!byToken);
  };
  return (
    <Entry title={t.title} text={t.note}>
      <form onSubmit={submit}>
        <Stack gap="md">
          {byToken ? (
            <PasswordInput key="token" label={t.token} name="token" autoComplete="off" description={t.help} required withAsterisk={false} autoFocus data-autofocus />
          ) : (
            <>
              <TextInput key="email" label={t.email} name="email" type="email" autoComplete="username" required withAsterisk={false} autoFocus data-autofocus />
              <PasswordInput key="password" label={t.password} name="password" autoComplete="current-password" required withAsterisk={false} />
            </>
          )}
          <NativeSelect label={t.purpose} name="purpose" data={Object.entries(t.purposes).map(([value, label]) => ({ value, label }))} />
          {logIn.isError && (
            <Alert role="alert" color="red" variant="light" py="xs">
              {problemText(logIn.error)}
            </Alert>
          )}
          <Button type="submit" loading={logIn.isPending}>
            {t.button}
          </Button>
        </Stack>
      </form>
      <Text size="sm">
        <Anchor component="button" type="button" inherit onClick={change}>
          {byToken ? t.withPassword : t.withToken}
        </Anchor>
        <br />
        <Anchor inherit href="/app/register">
          {t.register}
        </Anchor>
        <br />
        <Anchor inherit href="/app/reset">
          {t.forgotten}
        </Anchor>
      </Text>
    </Entry>
  );
}
