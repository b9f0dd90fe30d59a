// Somebody has forgotten the password: a link goes to the address, where it is one that was confirmed.
import { Alert, Button, Stack, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { FormEvent } from "react";
import { sendAnonymously } from "../api";
import { Entry } from "../parts/entry";
import { problemText } from "../parts/states";
import { texts } from "../texts";

const t = texts.account.reset;

export default function ResetPage() {
  const asking = useMutation({ mutationFn: (form: FormData) => sendAnonymously("/session/reset", Object.fromEntries(form)) });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    asking.mutate(new FormData(event.currentTarget));
  };
  if (asking.isSuccess)
    return (
      <Entry title={t.title}>
        <Alert color="teal" role="status">
          {t.sent}
        </Alert>
        <Button component="a" href="/login" variant="default">
          {texts.account.step.toLogIn}
        </Button>
      </Entry>
    );
  return (
    <Entry title={t.title} text={t.text}>
      <form onSubmit={submit}>
        <Stack gap="sm">
          <TextInput label={t.email} name="email" type="email" autoComplete="username" required withAsterisk={false} autoFocus data-autofocus />
          {asking.isError && (
            <Alert role="alert" color="red">
              {problemText(asking.error)}
            </Alert>
          )}
          <Button type="submit" loading={asking.isPending}>
            {t.button}
          </Button>
        </Stack>
      </form>
    </Entry>
  );
}
