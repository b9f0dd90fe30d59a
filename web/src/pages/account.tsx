// One's own account: password, second factor, sessions, tokens.
import { Button, Group, NativeSelect, NumberInput, PasswordInput, Stack, Table, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { Problem, ask, askJson, send } from "../api";
import { momentText } from "../dicom";
import { Columns } from "../parts/columns";
import { CopyLine } from "../parts/copy_line";
import { say } from "../parts/say";
import { Empty, Failure, Heading, Loading, problemText } from "../parts/states";
import { type Step, Steps } from "../parts/steps";
import { texts } from "../texts";

const t = texts.account.own;

interface Account {
  name: string;
  email: string;
  phone: string;
  roles: string[];
  secondFactor: boolean;
  recoveryCodesLeft: number;
  emailState: "off" | "sent" | "confirmed";
}
interface OwnSession {
  id: string;
  opened: string;
  used: string;
  address: string;
  current: boolean;
}
interface Token {
  id: string | number;
  note: string;
  scope: string;
  created: string;
  expires?: string;
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <Title order={2} mb="xs">
        {title}
      </Title>
      {children}
    </section>
  );
}

function Password() {
  const change = useMutation({
    mutationFn: (form: FormData) => send("PUT", "/account/password", Object.fromEntries(form)),
    onSuccess: () => say(t.changed),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    change.mutate(new FormData(form), { onSuccess: () => form.reset() });
  };
  return (
    <Part title={t.changePassword}>
      <form onSubmit={submit}>
        <Group align="end" gap="xs">
          <PasswordInput size="xs" w={200} label={t.current} name="current" autoComplete="current-password" required withAsterisk={false} />
          <PasswordInput size="xs" w={200} label={t.next} name="password" autoComplete="new-password" required withAsterisk={false} />
          <Button size="xs" type="submit" loading={change.isPending}>
            {t.change}
          </Button>
        </Group>
        {change.isError && <Failure problem={change.error} />}
      </form>
    </Part>
  );
}

function SecondFactor({ onEnrol }: { onEnrol: (step: Step) => void }) {
  const anew = useMutation({ mutationFn: (password: string) => send<Step>("POST", "/account/second-factor", { password }), onSuccess: onEnrol });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    anew.mutate(String(new FormData(event.currentTarget).get("factor")));
  };
  return (
    <Part title={t.newFactor}>
      <form onSubmit={submit}>
        <Group align="end" gap="xs">
          <PasswordInput size="xs" w={200} label={texts.logIn.password} name="factor" autoComplete="current-password" required withAsterisk={false} error={anew.isError && problemText(anew.error)} />
          <Button size="xs" variant="default" type="submit" loading={anew.isPending}>
            {t.newFactor}
          </Button>
        </Group>
      </form>
    </Part>
  );
}

function Sessions() {
  const queries = useQueryClient();
  const asked = useQuery({ queryKey: ["own sessions"], queryFn: () => askJson<{ sessions: OwnSession[] }>("/account/sessions") });
  const end = useMutation({
    mutationFn: (id: string) => ask(`/account/sessions?id=${encodeURIComponent(id)}`, { method: "DELETE" }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["own sessions"] }),
    onError: (problem) => say(problem.message, { wrong: true }),
  });
  return (
    <Part title={t.sessions}>
      {asked.isError && <Failure problem={asked.error} />}
      <Table aria-label={t.sessions}>
        <Columns names={[t.where, t.opened, t.used]} actions />
        <Table.Tbody>
          {asked.data?.sessions.map((session) => (
            <Table.Tr key={session.id}>
              <Table.Td className="mono">{session.address}</Table.Td>
              <Table.Td className="date">{momentText(session.opened)}</Table.Td>
              <Table.Td className="date">{momentText(session.used)}</Table.Td>
              <Table.Td>
                {session.current ? (
                  <Text size="sm" className="dimmed">
                    {t.thisOne}
                  </Text>
                ) : (
                  <Button size="compact-xs" variant="default" aria-label={t.endOf(session.address)} onClick={() => end.mutate(session.id)}>
                    {t.end}
                  </Button>
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Part>
  );
}

function Tokens() {
  const queries = useQueryClient();
  const [days, setDays] = useState<string | number>(90);
  const asked = useQuery({ queryKey: ["own tokens"], queryFn: () => askJson<{ tokens: Token[] }>("/account/tokens") });
  const refresh = () => queries.invalidateQueries({ queryKey: ["own tokens"] });
  const make = useMutation({ mutationFn: (form: FormData) => send<{ token: string }>("POST", "/account/tokens", { note: form.get("note"), scope: form.get("scope"), days: Number(days) }), onSuccess: refresh });
  const take = useMutation({
    mutationFn: (id: Token["id"]) => ask(`/account/tokens?id=${encodeURIComponent(id)}`, { method: "DELETE" }),
    onSettled: refresh,
    onError: (problem) => say(problem.message, { wrong: true }),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    make.mutate(new FormData(event.currentTarget));
  };
  const tokens = asked.data?.tokens ?? [];
  return (
    <Part title={t.tokens}>
      <Stack gap="sm">
        {asked.isError && <Failure problem={asked.error} />}
        {asked.isSuccess && tokens.length === 0 && (
          <Text size="sm" className="dimmed">
            {t.noTokens}
          </Text>
        )}
        {tokens.length > 0 && (
          <Table aria-label={t.tokens}>
            <Columns names={[t.note, t.scope, t.opened, t.expires]} actions />
            <Table.Tbody>
              {tokens.map((token) => (
                <Table.Tr key={token.id}>
                  <Table.Td>
                    <bdi>{token.note}</bdi>
                  </Table.Td>
                  <Table.Td>{t.scopes[token.scope] ?? token.scope}</Table.Td>
                  <Table.Td className="date">{momentText(token.created)}</Table.Td>
                  <Table.Td className="date">{token.expires ? momentText(token.expires) : ""}</Table.Td>
                  <Table.Td>
                    <Button size="compact-xs" variant="default" aria-label={t.takeOf(token.note)} onClick={() => take.mutate(token.id)}>
                      {t.take}
                    </Button>
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
        <form onSubmit={submit}>
          <Group align="end" gap="xs">
            <TextInput size="xs" w={200} label={t.note} name="note" required withAsterisk={false} />
            <NativeSelect size="xs" label={t.scope} name="scope" data={Object.entries(t.scopes).map(([value, label]) => ({ value, label }))} />
            <NumberInput size="xs" w={90} label={t.days} min={1} max={3650} value={days} onChange={setDays} />
            <Button size="xs" type="submit" variant="default" loading={make.isPending}>
              {t.make}
            </Button>
          </Group>
          {make.isError && <Failure problem={make.error} />}
        </form>
        {make.data && (
          <div role="status">
            <Text size="sm" fw={600}>
              {t.made}
            </Text>
            <CopyLine value={make.data.token} />
          </div>
        )}
      </Stack>
    </Part>
  );
}

/** Where a mail server is set: whether the address is confirmed, and another link where it is not. */
function EmailState({ state }: { state: Account["emailState"] }) {
  const sending = useMutation({ mutationFn: () => send("POST", "/account/confirmation", {}), onSuccess: () => say(t.linkSent), onError: (problem) => say(problemText(problem), { wrong: true }) });
  if (state === "off") return null;
  return (
    <Group gap="sm" mt={4}>
      <Text size="sm">{t.emailStates[state]}</Text>
      {state === "sent" && (
        <Button size="compact-xs" variant="default" loading={sending.isPending} onClick={() => sending.mutate()}>
          {t.sendLink}
        </Button>
      )}
    </Group>
  );
}

export default function AccountPage() {
  const [enrolling, setEnrolling] = useState<Step>();
  const asked = useQuery({ queryKey: ["account"], queryFn: () => askJson<Account>("/account") });
  if (enrolling) return <Steps first={enrolling} then="/app/account" />;
  if (asked.isPending) return <Loading />;
  if (asked.isError) {
    const none = asked.error instanceof Problem && asked.error.status === 404;
    return (
      <>
        <Heading title={t.title} />
        {none ? <Empty title={t.none} text={t.noneText} /> : <Failure problem={asked.error} again={() => void asked.refetch()} />}
      </>
    );
  }
  const { name, email, phone, roles, secondFactor, recoveryCodesLeft, emailState } = asked.data;
  return (
    <>
      <Heading title={t.title} />
      <Stack gap="xl" maw={820}>
        <Part title={t.facts}>
          <Text size="sm">
            <bdi>{name}</bdi>, {email}, {phone}
            <br />
            {roles.map((role) => texts.people.roleNames[role] ?? role).join(", ")}
            <br />
            {t.factor(secondFactor, recoveryCodesLeft)}
          </Text>
          <EmailState state={emailState} />
        </Part>
        <Password />
        <SecondFactor onEnrol={setEnrolling} />
        <Sessions />
        <Tokens />
      </Stack>
    </>
  );
}
