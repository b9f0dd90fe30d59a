// What comes after a password or a link: a code, a second factor to set up, waiting, or being in.
import { Alert, Button, Code, List, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, lazy, Suspense, useEffect, useState } from "react";
import { sendAnonymously } from "../api";
import { texts } from "../texts";
import { destination } from "./destination";
import { Entry } from "./entry";
import { Loading, problemText } from "./states";

const QrCode = lazy(() => import("./qr_code"));
const t = texts.account.step;

export interface Step {
  step: "done" | "code" | "enrol" | "waiting" | "confirmed";
  name?: string;
  roles?: string[];
  recoveryCodes?: string[];
  ticket?: string;
  secret?: string;
  uri?: string;
  told?: string[];
  email?: "off" | "sent" | "confirmed";
}

function AskCode({ step, onStep }: { step: Step; onStep: (step: Step) => void }) {
  const [code, setCode] = useState("");
  const asking = useMutation({ mutationFn: () => sendAnonymously<Step>("/session/code", { ticket: step.ticket, code: code.trim() }), onSuccess: onStep });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    asking.mutate();
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="sm">
        <TextInput label={t.codeLabel} description={step.step === "code" ? t.codeHint : undefined} value={code} onChange={(event) => setCode(event.currentTarget.value)} autoComplete="one-time-code" inputMode={step.step === "enrol" ? "numeric" : undefined} required withAsterisk={false} autoFocus data-autofocus error={asking.isError && problemText(asking.error)} />
        <Button type="submit" loading={asking.isPending}>
          {t.codeButton}
        </Button>
      </Stack>
    </form>
  );
}

/** Shows one step after another; who is in goes on to `then`. */
export function Steps({ first, then = destination() }: { first: Step; then?: string }) {
  const [step, setStep] = useState(first);
  const codes = step.recoveryCodes ?? [];
  const finished = step.step === "done" && codes.length === 0;
  useEffect(() => {
    if (finished) location.replace(then);
  }, [finished, then]);
  if (finished) return <Loading />;
  if (step.step === "done")
    return (
      <Entry title={t.recovery} text={t.recoveryText}>
        <List listStyleType="none" spacing={4}>
          {codes.map((code) => (
            <List.Item key={code}>
              <Code fz="md">{code}</Code>
            </List.Item>
          ))}
        </List>
        <Button onClick={() => location.replace(then)}>{t.kept}</Button>
      </Entry>
    );
  if (step.step === "code")
    return (
      <Entry title={t.code}>
        <AskCode step={step} onStep={setStep} />
      </Entry>
    );
  if (step.step === "enrol")
    return (
      <Entry title={t.enrol} text={t.enrolText}>
        <Suspense fallback={<Loading />}>
          <QrCode content={step.uri ?? ""} label={t.qr} />
        </Suspense>
        <Text size="sm" className="dimmed">
          {t.enrolSecret} <span className="mono">{step.secret}</span>
        </Text>
        <AskCode step={step} onStep={setStep} />
      </Entry>
    );
  const told = (step.told ?? []).join(", ");
  return (
    <Entry title={step.step === "waiting" ? t.waiting : t.confirmed}>
      {step.step === "waiting" && <Alert color="teal">{told ? t.waitingTold(told) : t.waitingNobody}</Alert>}
      {step.step === "waiting" && step.email === "sent" && <Text size="sm">{t.confirmFirst}</Text>}
      <Button component="a" href="/login" variant="default">
        {t.toLogIn}
      </Button>
    </Entry>
  );
}
