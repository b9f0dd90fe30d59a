// What waits for a peer or for a person, and how much room there is left.
import { Alert, Badge, Button, Group, Popover, Progress, Stack, Table, Text, Title } from "@mantine/core";
import { IconAlertTriangle, IconRefresh, IconTrash } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { administering, askJson, send } from "../api";
import { bytesText, momentText } from "../dicom";
import { Columns } from "../parts/columns";
import { say } from "../parts/say";
import { Failure, Heading, Loading, problemText } from "../parts/states";
import { texts } from "../texts";

const t = texts.queues;

interface Delivery {
  id: number;
  kind: string;
  peer: string;
  state: string;
  since: string;
  refusals: number;
  sopInstanceUid?: string;
  transactionUid?: string;
  studyInstanceUid?: string;
  problem?: string;
}
interface QueuedMail {
  id: number;
  kind: string;
  to: string;
  state: string;
  since: string;
  tries: number;
  problem?: string;
}
interface Queues {
  deliveries: Delivery[];
  more: boolean;
  setAside: { objectId: string; sopInstanceUid: string; arrived: string; reason: string }[];
  quarantined: { objectId: string; sopInstanceUid: string; at: string; reason: string }[];
  mail: { on: boolean; problem?: string; mails: QueuedMail[] };
  disk: { state: string; freeBytes: number; totalBytes: number; warnBelowBytes: number; refuseBelowBytes: number; text: string };
}
type Which = { ids: number[] } | { failed: true };

function Room({ disk }: { disk: Queues["disk"] }) {
  const colour = disk.state === "full" ? "red" : disk.state === "low" ? "yellow" : "teal";
  return (
    <section aria-labelledby="room">
      <Title order={2} id="room" mb="xs">
        {t.room}
      </Title>
      {disk.state !== "ample" && (
        <Alert color={colour} variant="light" icon={<IconAlertTriangle />} mb="xs" role="status">
          {disk.state === "full" ? t.full : t.low}
        </Alert>
      )}
      <Progress value={disk.totalBytes > 0 ? (100 * (disk.totalBytes - disk.freeBytes)) / disk.totalBytes : 0} color={colour} size="lg" maw={480} aria-label={t.used} />
      <Text size="sm" mt={4}>
        {t.free(bytesText(disk.freeBytes), bytesText(disk.totalBytes))}
      </Text>
      <Text size="xs" className="dimmed">
        {t.marks(bytesText(disk.warnBelowBytes), bytesText(disk.refuseBelowBytes))}
      </Text>
    </section>
  );
}

/** One that cannot be undone asks once more. */
function Discard({ delivery, onDiscard }: { delivery: Delivery; onDiscard: () => void }) {
  return (
    <Popover width={280} position="left" withArrow shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <Button size="compact-xs" variant="default" leftSection={<IconTrash size={14} />} aria-label={t.discardOf(delivery.id)}>
          {t.discard}
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <Stack gap="xs">
          <Text size="sm">{t.discardText(delivery.peer)}</Text>
          <Button size="xs" color="red" onClick={onDiscard}>
            {t.discardConfirm}
          </Button>
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

function Section({ id, title, none, count, action, children }: { id: string; title: string; none: string; count: number; action?: ReactNode; children: ReactNode }) {
  return (
    <section aria-labelledby={id}>
      <Group justify="space-between" mt="lg" mb="xs">
        <Title order={2} id={id}>
          {title}
        </Title>
        {action}
      </Group>
      {count === 0 ? (
        <Text size="sm" className="dimmed">
          {none}
        </Text>
      ) : (
        <div className="wide">{children}</div>
      )}
    </section>
  );
}

function Mails({ mail, onChange }: { mail: Queues["mail"]; onChange: () => void }) {
  const change = useMutation({
    mutationFn: ({ what, id }: { what: "retry" | "discard"; id: number }) => send<{ mails: number }>("POST", `/queues/mails/${what}`, { ids: [id] }, administering),
    onSuccess: ({ mails }, { what }) => {
      say(what === "retry" ? t.mailRetried(mails) : t.mailDiscarded(mails));
      onChange();
    },
    onError: (problem: Error) => say(problemText(problem), { wrong: true }),
  });
  const colours: Record<string, string> = { failed: "red", sent: "teal" };
  return (
    <Section id="mails" title={t.mails} none={mail.on ? t.noMails : t.mailOff} count={mail.mails.length}>
      {mail.problem && (
        <Alert color="yellow" variant="light" icon={<IconAlertTriangle />} mb="xs" role="status">
          {t.mailWaits} {mail.problem}
        </Alert>
      )}
      <Table highlightOnHover verticalSpacing={4} aria-label={t.mails}>
        <Columns names={[t.to, t.kind, t.since, t.state]} actions />
        <Table.Tbody>
          {mail.mails.map((one) => (
            <Table.Tr key={one.id}>
              <Table.Td>{one.to}</Table.Td>
              <Table.Td>{t.mailKinds[one.kind] ?? one.kind}</Table.Td>
              <Table.Td className="date">{momentText(one.since)}</Table.Td>
              <Table.Td>
                <Badge variant="light" tt="none" color={colours[one.state] ?? "yellow"}>
                  {t.mailStates[one.state] ?? one.state}
                </Badge>
                <Text size="xs" className="dimmed">
                  {one.problem}
                </Text>
              </Table.Td>
              <Table.Td>
                {one.state !== "sent" && (
                  <Group gap="xs" justify="end" wrap="nowrap">
                    <Button size="compact-xs" variant="default" leftSection={<IconRefresh size={14} />} aria-label={t.retryMail(one.id)} onClick={() => change.mutate({ what: "retry", id: one.id })}>
                      {t.retry}
                    </Button>
                    <Button size="compact-xs" variant="default" leftSection={<IconTrash size={14} />} aria-label={t.discardMail(one.id)} onClick={() => change.mutate({ what: "discard", id: one.id })}>
                      {t.forget}
                    </Button>
                  </Group>
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Section>
  );
}

export default function QueuesPage() {
  const queries = useQueryClient();
  const asked = useQuery({ queryKey: ["queues"], queryFn: () => askJson<Queues>("/queues", administering), refetchInterval: 15_000 });
  const refresh = () => void queries.invalidateQueries({ queryKey: ["queues"] });
  const onError = (problem: Error) => say(problemText(problem), { wrong: true });
  const change = useMutation({
    mutationFn: ({ what, which }: { what: "retry" | "discard"; which: Which }) => send<{ deliveries: number }>("POST", `/queues/deliveries/${what}`, which, administering),
    onSuccess: ({ deliveries }, { what }) => {
      say(what === "retry" ? t.retried(deliveries) : t.discarded(deliveries));
      refresh();
    },
    onError,
  });
  const restore = useMutation({
    mutationFn: (object: string) => send("POST", "/queues/quarantine/restore", { object }, administering),
    onSuccess: () => {
      say(t.restored);
      refresh();
    },
    onError,
  });
  if (asked.isPending) return <Loading />;
  if (asked.isError) return <Failure problem={asked.error} again={() => void asked.refetch()} />;
  const { deliveries, more, setAside, quarantined, disk, mail } = asked.data;
  const failed = deliveries.filter((one) => one.state === "failed").length;
  return (
    <>
      <Heading title={t.title} />
      <Room disk={disk} />
      <Section
        id="deliveries"
        title={t.deliveries}
        none={t.noDeliveries}
        count={deliveries.length}
        action={
          failed > 0 && (
            <Button size="xs" variant="default" leftSection={<IconRefresh size={16} />} onClick={() => change.mutate({ what: "retry", which: { failed: true } })}>
              {t.retryFailed(failed)}
            </Button>
          )
        }
      >
        <Table highlightOnHover verticalSpacing={4} aria-label={t.deliveries}>
          <Columns names={[t.peer, t.kind, t.subject, t.since, t.state]} actions />
          <Table.Tbody>
            {deliveries.map((one) => (
              <Table.Tr key={one.id}>
                <Table.Td className="mono">{one.peer}</Table.Td>
                <Table.Td>{t.kinds[one.kind] ?? one.kind}</Table.Td>
                <Table.Td className="mono">{one.sopInstanceUid ?? one.transactionUid ?? one.studyInstanceUid}</Table.Td>
                <Table.Td className="date">{momentText(one.since)}</Table.Td>
                <Table.Td>
                  <Badge variant="light" tt="none" color={one.state === "failed" ? "red" : "yellow"}>
                    {t.states[one.state] ?? one.state}
                  </Badge>
                  <Text size="xs" className="dimmed">
                    {one.problem}
                  </Text>
                </Table.Td>
                <Table.Td>
                  <Group gap="xs" justify="end" wrap="nowrap">
                    <Button size="compact-xs" variant="default" leftSection={<IconRefresh size={14} />} aria-label={t.retryOf(one.id)} onClick={() => change.mutate({ what: "retry", which: { ids: [one.id] } })}>
                      {t.retry}
                    </Button>
                    <Discard delivery={one} onDiscard={() => change.mutate({ what: "discard", which: { ids: [one.id] } })} />
                  </Group>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
        {more && <Text size="sm">{t.more}</Text>}
      </Section>
      <Mails mail={mail} onChange={refresh} />
      <Section id="quarantine" title={t.quarantine} none={t.noQuarantine} count={quarantined.length}>
        <Table highlightOnHover verticalSpacing={4} aria-label={t.quarantine}>
          <Columns names={[t.object, t.found, t.why]} actions />
          <Table.Tbody>
            {quarantined.map((one) => (
              <Table.Tr key={one.objectId}>
                <Table.Td className="mono">{one.sopInstanceUid || one.objectId}</Table.Td>
                <Table.Td className="date">{momentText(one.at)}</Table.Td>
                <Table.Td>{one.reason}</Table.Td>
                <Table.Td>
                  <Button size="compact-xs" variant="default" title={t.restoreHint} loading={restore.isPending && restore.variables === one.objectId} onClick={() => restore.mutate(one.objectId)}>
                    {t.restore}
                  </Button>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Section>
      <Section id="aside" title={t.setAside} none={t.noSetAside} count={setAside.length}>
        <Table verticalSpacing={4} aria-label={t.setAside}>
          <Columns names={[t.object, t.arrived, t.why]} />
          <Table.Tbody>
            {setAside.map((one) => (
              <Table.Tr key={one.objectId}>
                <Table.Td className="mono">
                  {one.sopInstanceUid}
                  <Text size="xs" className="mono dimmed">
                    {one.objectId}
                  </Text>
                </Table.Td>
                <Table.Td className="date">{momentText(one.arrived)}</Table.Td>
                <Table.Td>{one.reason}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
        <Text size="sm" mt="xs">
          {t.setAsideText}
        </Text>
      </Section>
    </>
  );
}
