import { Alert, Anchor, Button, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { FormEvent } from "react";
import { sendAnonymously } from "../api";
import { Entry } from "../parts/entry";
import { PersonFields, otherProblem } from "../parts/person_fields";
import { type Step, Steps } from "../parts/steps";
import { texts } from "../texts";

const t = texts.account.register;

export default function RegisterPage() {
  const register = useMutation({ mutationFn: (form: FormData) => sendAnonymously<Step>("/accounts", Object.fromEntries(form)) });
  if (register.data) return <Steps first={register.data} />;
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    register.mutate(new FormData(event.currentTarget));
  };
  return (
    <Entry title={t.title} text={t.note}>
      <form onSubmit={submit}>
        <Stack gap="sm">
          <PersonFields wanted={["name", "email", "phone", "role", "password"]} problem={register.error} />
          {register.isError && otherProblem(register.error) && (
            <Alert role="alert" color="red">
              {otherProblem(register.error)}
            </Alert>
          )}
          <Button type="submit" loading={register.isPending}>
            {t.button}
          </Button>
          <Anchor size="sm" href="/login">
            {texts.account.step.toLogIn}
          </Anchor>
        </Stack>
      </form>
    </Entry>
  );
}
