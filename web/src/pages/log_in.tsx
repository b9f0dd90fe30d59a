import { Alert, Button, NativeSelect, Paper, PasswordInput, Stack, Text, Title } from "@mantine/core";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { problemOf } from "../api";
import { destination } from "../parts/destination";
import { problemText } from "../parts/states";
import { texts } from "../texts";

const t = texts.logIn;

async function logIn(form: FormData): Promise<void> {
  const body = new URLSearchParams([...form].map(([name, value]): [string, string] => [name, String(value)]));
  const answer = await fetch("/session", { method: "POST", body });
  if (answer.status === 401) throw new Error(t.unknown);
  if (answer.status === 429) throw new Error(t.tooMany);
  if (!answer.ok) throw await problemOf(answer, texts.problem.unexpected);
}

export function LogIn() {
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const token = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = `${t.title} – ${texts.product}`;
  }, []);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      await logIn(new FormData(event.currentTarget));
      location.replace(destination());
    } catch (thrown) {
      setProblem(thrown instanceof Error && thrown.constructor === Error ? thrown.message : problemText(thrown));
      setBusy(false);
      token.current?.select();
    }
  };
  return (
    <main className="log-in">
      <Paper className="panel" withBorder p="xl" radius="md">
        <form onSubmit={(event) => void submit(event)}>
          <Stack gap="md">
            <div>
              <Title order={1}>{texts.product}</Title>
              <Text size="sm" className="dimmed">
                {t.note}
              </Text>
            </div>
            <PasswordInput ref={token} label={t.token} name="token" autoComplete="current-password" required withAsterisk={false} data-autofocus autoFocus error={Boolean(problem)} />
            <NativeSelect label={t.purpose} name="purpose" data={Object.entries(t.purposes).map(([value, label]) => ({ value, label }))} />
            {problem && (
              <Alert role="alert" color="red" variant="light" py="xs">
                {problem}
              </Alert>
            )}
            <Button type="submit" loading={busy}>
              {t.button}
            </Button>
            <Text size="xs" className="dimmed">
              {t.help}
            </Text>
          </Stack>
        </form>
      </Paper>
    </main>
  );
}
