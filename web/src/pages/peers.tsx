import { ActionIcon, Button, Group, Table, Text, TextInput, Title } from "@mantine/core";
import { IconPlus, IconTrash, IconWaveSine } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Problem, administering, askJson } from "../api";
import { momentText } from "../dicom";
import { Columns } from "../parts/columns";
import { say } from "../parts/say";
import { Empty, Failure, Heading, Loading } from "../parts/states";
import { texts } from "../texts";

const t = texts.peers;

interface Peer {
  aeTitle: string;
  network: string;
  may: string[];
  line: string;
  added: boolean;
  came?: string;
  echoed?: string;
  lacks?: string;
  answers?: boolean;
  ms?: number;
  why?: string;
}
interface Knock {
  callingAeTitle: string;
  calledAeTitle: string;
  address: string;
  why: string;
  times: number;
  last: string;
}

function Knocks() {
  const asked = useQuery({ queryKey: ["knocks"], queryFn: () => askJson<{ knocks: Knock[] }>("/peers/knocks", administering), refetchInterval: 15_000 });
  const knocks = asked.data?.knocks ?? [];
  return (
    <section aria-labelledby="knocks">
      <Title order={2} id="knocks" mt="lg" mb="xs">
        {t.knocks}
      </Title>
      {asked.isError && <Failure problem={asked.error} />}
      {asked.isSuccess && knocks.length === 0 && (
        <Text size="sm" className="dimmed">
          {t.noKnocks}
        </Text>
      )}
      {knocks.length > 0 && (
        <Table aria-label={t.knocks}>
          <Columns names={[t.aeTitle, t.network, t.why, t.times, t.last]} />
          <Table.Tbody>
            {knocks.map((knock) => (
              <Table.Tr key={`${knock.callingAeTitle} ${knock.calledAeTitle} ${knock.address} ${knock.why}`}>
                <Table.Td className="mono">{knock.callingAeTitle}</Table.Td>
                <Table.Td className="mono">{knock.address}</Table.Td>
                <Table.Td>{knock.why}</Table.Td>
                <Table.Td>{knock.times}</Table.Td>
                <Table.Td className="date">{momentText(knock.last)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </section>
  );
}

export default function PeersPage() {
  const queries = useQueryClient();
  const [line, setLine] = useState("");
  const asked = useQuery({ queryKey: ["peers"], queryFn: () => askJson<{ peers: Peer[] }>("/peers", administering) });
  const refresh = () => queries.invalidateQueries({ queryKey: ["peers"] });
  const failed = (problem: Error) => say(problem.message, { wrong: true });
  const add = useMutation({
    mutationFn: (wanted: string) => askJson("/peers", { ...administering, method: "POST", type: "application/json", body: JSON.stringify({ line: wanted }) }),
    onSuccess: () => {
      setLine("");
      void refresh();
    },
  });
  const remove = useMutation({
    mutationFn: (peer: Peer) => askJson(`/peers?AETitle=${encodeURIComponent(peer.aeTitle)}`, { ...administering, method: "DELETE" }),
    onSuccess: (_, peer) => {
      const undo = () => add.mutate(peer.line);
      say(
        <Group gap="sm">
          {t.removed(peer.aeTitle)}
          <Button size="compact-xs" variant="default" onClick={undo}>
            {t.undo}
          </Button>
        </Group>,
        { seconds: 15 },
      );
      void refresh();
    },
    onError: failed,
  });
  const check = useMutation({
    mutationFn: (title: string) => askJson<{ peers: Peer[] }>(`/peers/check${title ? `?AETitle=${encodeURIComponent(title)}` : ""}`, { ...administering, method: "POST" }),
    onError: failed,
  });
  const answers = new Map((check.data?.peers ?? []).map((peer) => [peer.aeTitle, peer]));
  if (asked.isPending) return <Loading />;
  if (asked.isError) {
    const away = asked.error instanceof Problem && asked.error.status === 404;
    return (
      <>
        <Heading title={t.title} />
        {away ? <Empty title={t.notServed} text={t.notServedText} /> : <Failure problem={asked.error} again={() => void asked.refetch()} />}
      </>
    );
  }
  const peers = asked.data.peers;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate(line);
  };
  return (
    <>
      <Heading title={t.title}>
        <Button size="xs" variant="default" leftSection={<IconWaveSine size={16} />} loading={check.isPending} disabled={peers.length === 0} onClick={() => check.mutate("")}>
          {t.check}
        </Button>
      </Heading>
      <form onSubmit={submit}>
        <Group align="end" gap="xs" mb="md">
          <TextInput size="xs" w={420} label={t.line} placeholder={t.lineHint} required withAsterisk={false} value={line} onChange={(event) => setLine(event.currentTarget.value)} autoComplete="off" />
          <Button size="xs" type="submit" leftSection={<IconPlus size={14} />} loading={add.isPending}>
            {t.add}
          </Button>
        </Group>
      </form>
      {add.isError && <Failure problem={add.error} />}
      {peers.length === 0 ? (
        <Empty title={t.none} text={t.noneText} />
      ) : (
        <div className="wide">
          <Table highlightOnHover aria-label={t.title}>
            <Columns names={[t.aeTitle, t.network, t.may, t.came, t.echoed, t.answers]} actions />
            <Table.Tbody>
              {peers.map((peer) => {
                const said = answers.get(peer.aeTitle);
                return (
                  <Table.Tr key={peer.line}>
                    <Table.Td className="mono">{peer.aeTitle}</Table.Td>
                    <Table.Td className="mono">{peer.network}</Table.Td>
                    <Table.Td>
                      {peer.may.join(", ")}
                      {peer.lacks && (
                        <Text size="xs" c="red">
                          {peer.lacks}
                        </Text>
                      )}
                    </Table.Td>
                    <Table.Td className="date">{peer.came ? momentText(peer.came) : t.never}</Table.Td>
                    <Table.Td className="date">{peer.echoed ? momentText(peer.echoed) : t.never}</Table.Td>
                    <Table.Td>{said?.answers ? t.yes(said.ms ?? 0) : (said?.why ?? "")}</Table.Td>
                    <Table.Td>
                      {peer.added ? (
                        <ActionIcon variant="subtle" color="gray" aria-label={t.remove(peer.aeTitle)} title={t.remove(peer.aeTitle)} onClick={() => remove.mutate(peer)}>
                          <IconTrash size={16} />
                        </ActionIcon>
                      ) : (
                        <Text size="xs" className="dimmed">
                          {t.fixed}
                        </Text>
                      )}
                    </Table.Td>
                  </Table.Tr>
                );
              })}
            </Table.Tbody>
          </Table>
        </div>
      )}
      <Knocks />
    </>
  );
}
