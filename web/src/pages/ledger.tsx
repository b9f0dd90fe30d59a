// The chain that vouches for the studies: blocks, transactions and logs in words, accounts, settings, and what is on its way.
import { Alert, Badge, Button, Group, List, SimpleGrid, Switch, Table, Text, Title } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useQueries, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Address, formatEther } from "viem";
import { askJson } from "../api";
import { momentText } from "../dicom";
import { type Called, type Contracts, type Logged, type Sent, accountOf, blockOf, outcomeOf } from "../parts/chain";
import { Columns } from "../parts/columns";
import { CopyLine } from "../parts/copy_line";
import { Empty, Failure, Heading, Loading } from "../parts/states";
import { useSession } from "../session";
import { texts } from "../texts";

const t = texts.ledger;
const blocksAtOnce = 20;

interface Ledger {
  chainId: number;
  genesisHash: string;
  kind: string;
  period: number;
  epoch: number;
  signers: string[];
  majority: number;
  head: number;
  settled: number;
  reachable: boolean;
  behind: boolean;
  problem: string;
  contracts: Contracts;
  accounts: { address: Address; whose: string }[];
  outbox: { stored: number; submitted: number; included: number; incidents: number; failed: number; oldestUnsettledMs: number };
}

const isSame = (one: string | null, other: string) => one?.toLowerCase() === other.toLowerCase();
const short = (hex: string) => (hex.length > 20 ? `${hex.slice(0, 10)}…${hex.slice(-6)}` : hex);

/** Who an address is, as far as it is known here. */
function whoIs(ledger: Ledger, address: string | null): string {
  if (!address) return t.newContract;
  const whose = ledger.accounts.filter((one) => isSame(one.address, address)).map((one) => t.whose[one.whose] ?? one.whose);
  const contract = Object.entries(ledger.contracts).find(([, there]) => isSame(there, address))?.[0];
  return whose.join(", ") || contract || short(address);
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.map(valueText).join(", ");
  if (typeof value === "object" && value !== null) return Object.entries(value).map(([name, one]) => `${name} ${valueText(one)}`).join(", ");
  return String(value);
}

function callWords(call: Called, to: Address | null): string {
  if (!to) return t.deploys;
  if (!call.contract) return t.unknownCall;
  const words = t.calls[`${call.contract}.${call.name}`];
  return words ? words(call.args.map((one) => one.value)) : `${call.contract}.${call.name ?? "?"}`;
}

function logWords(log: Logged): string {
  const words = t.events[`${log.contract}.${log.name}`];
  return words ? words(log.args.map((one) => one.value)) : log.contract ? `${log.contract}.${log.name ?? "?"}` : short(log.address);
}

function Values({ args }: { args: Called["args"] }) {
  return (
    <List size="xs" listStyleType="none">
      {args.map(({ name, value }, place) => (
        <List.Item key={`${name} ${place}`}>
          <span className="dimmed">{name}</span> <span className="mono">{valueText(value)}</span>
        </List.Item>
      ))}
    </List>
  );
}

function Details({ ledger, sent }: { ledger: Ledger; sent: Sent }) {
  const asked = useQuery({ queryKey: ["receipt", sent.hash], queryFn: () => outcomeOf(ledger.contracts, sent.hash) });
  return (
    <>
      <Values args={[{ name: t.hash, value: sent.hash }, { name: t.nonce, value: sent.nonce }, ...sent.args]} />
      {asked.isPending && <Loading />}
      {asked.isError && <Failure problem={asked.error} again={() => void asked.refetch()} />}
      {asked.data && (
        <>
          <Text size="sm" mt="xs">
            {asked.data.succeeded ? t.succeeded(Number(asked.data.gasUsed)) : t.reverted}
          </Text>
          {asked.data.logs.map((log) => (
            <div key={log.index}>
              <Text size="sm" fw={600} mt="xs">
                {logWords(log)}
              </Text>
              <Values args={log.args} />
            </div>
          ))}
        </>
      )}
    </>
  );
}

function SettledSign({ ledger, block }: { ledger: Ledger; block: bigint }) {
  const settled = block <= BigInt(ledger.settled);
  return (
    <Badge variant="light" tt="none" miw="max-content" color={settled ? "teal" : "yellow"}>
      {settled ? t.isSettled : t.notSettled}
    </Badge>
  );
}

function Transaction({ ledger, sent, time }: { ledger: Ledger; sent: Sent; time: string }) {
  const [open, setOpen] = useState(false);
  return (
    <Table.Tr>
      <Table.Td className="number">{String(sent.block)}</Table.Td>
      <Table.Td className="date">{momentText(time)}</Table.Td>
      <Table.Td>
        <details onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>{callWords(sent, sent.to)}</summary>
          {open && <Details ledger={ledger} sent={sent} />}
        </details>
      </Table.Td>
      <Table.Td>{whoIs(ledger, sent.from)}</Table.Td>
      <Table.Td>{whoIs(ledger, sent.to)}</Table.Td>
      <Table.Td>
        <SettledSign ledger={ledger} block={sent.block} />
      </Table.Td>
    </Table.Tr>
  );
}

function Blocks({ ledger }: { ledger: Ledger }) {
  const session = useSession();
  const [top, setTop] = useState<number>(); // undefined: the newest
  const [mine, setMine] = useState(false);
  const from = top ?? ledger.head;
  const numbers = Array.from({ length: Math.min(blocksAtOnce, from + 1) }, (_, back) => from - back);
  const asked = useQueries({
    queries: numbers.map((number) => ({
      queryKey: ["block", number],
      queryFn: () => blockOf(ledger.contracts, BigInt(number)),
      staleTime: Infinity,
      refetchInterval: number > ledger.settled ? 3_000 : (false as const), // it may still become another
    })),
  });
  const failed = asked.find((one) => one.isError);
  if (failed) return <Failure problem={failed.error} again={() => asked.forEach((one) => one.isError && void one.refetch())} />;
  const blocks = asked.flatMap((one) => one.data ?? []);
  if (blocks.length === 0) return <Loading />;
  const yours = ledger.accounts.filter((one) => one.whose === "yours").map((one) => one.address);
  const id = session.personId?.replace(/^0x/, "") ?? "";
  const isMine = (sent: Sent) => yours.some((address) => isSame(sent.from, address) || isSame(sent.to, address)) || (id !== "" && sent.input.includes(id));
  const shown = blocks.flatMap((block) => block.sent.map((sent) => ({ sent, time: block.time }))).filter(({ sent }) => !mine || isMine(sent));
  return (
    <>
      <section aria-labelledby="transactions">
        <Group justify="space-between" mt="lg" mb="xs">
          <Title order={2} id="transactions">
            {t.transactions}
          </Title>
          <Switch size="xs" label={t.mine} checked={mine} onChange={(event) => setMine(event.currentTarget.checked)} />
        </Group>
        {shown.length === 0 ? (
          <Empty title={mine ? t.noneOfYours : t.noTransactions} text={t.noTransactionsText} />
        ) : (
          <div className="wide">
            <Table verticalSpacing={4} aria-label={t.transactions}>
              <Columns names={[t.block, t.when, t.what, t.from, t.to, t.state]} />
              <Table.Tbody>
                {shown.map(({ sent, time }) => (
                  <Transaction key={sent.hash} ledger={ledger} sent={sent} time={time} />
                ))}
              </Table.Tbody>
            </Table>
          </div>
        )}
      </section>
      <section aria-labelledby="blocks">
        <Title order={2} id="blocks" mt="lg" mb="xs">
          {t.blocks}
        </Title>
        <div className="wide">
          <Table verticalSpacing={2} aria-label={t.blocks}>
            <Columns names={[t.block, t.when, t.transactions, t.gas, t.hash, t.state]} />
            <Table.Tbody>
              {blocks.map((block) => (
                <Table.Tr key={String(block.number)}>
                  <Table.Td className="number">{String(block.number)}</Table.Td>
                  <Table.Td className="date">{momentText(block.time)}</Table.Td>
                  <Table.Td className="number">{block.sent.length}</Table.Td>
                  <Table.Td className="number">{t.gasOf(Number(block.gasUsed), Number(block.gasLimit))}</Table.Td>
                  <Table.Td className="mono" title={block.hash ?? ""}>
                    {short(block.hash ?? "")}
                  </Table.Td>
                  <Table.Td>
                    <SettledSign ledger={ledger} block={block.number} />
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
        <Group justify="flex-end" mt="xs" gap="xs">
          <Button size="xs" variant="default" disabled={top === undefined} onClick={() => setTop(from + blocksAtOnce >= ledger.head ? undefined : from + blocksAtOnce)}>
            {texts.studies.newer}
          </Button>
          <Button size="xs" variant="default" disabled={from < blocksAtOnce} onClick={() => setTop(from - blocksAtOnce)}>
            {texts.studies.older}
          </Button>
        </Group>
      </section>
    </>
  );
}

function Accounts({ ledger }: { ledger: Ledger }) {
  const addresses = [...new Set(ledger.accounts.map((one) => one.address))];
  const asked = useQueries({ queries: addresses.map((address) => ({ queryKey: ["account", address], queryFn: () => accountOf(address), refetchInterval: 10_000 })) });
  return (
    <section aria-labelledby="accounts">
      <Title order={2} id="accounts" mt="lg" mb="xs">
        {t.accounts}
      </Title>
      <div className="wide">
        <Table verticalSpacing={2} aria-label={t.accounts}>
          <Columns names={[t.whoseAccount, t.address, t.balance, t.nonce]} />
          <Table.Tbody>
            {addresses.map((address, place) => {
              const account = asked[place]?.data;
              return (
                <Table.Tr key={address}>
                  <Table.Td>{whoIs(ledger, address)}</Table.Td>
                  <Table.Td>
                    <CopyLine value={address} />
                  </Table.Td>
                  <Table.Td className="number">{account && `${formatEther(account.balance)} ETH`}</Table.Td>
                  <Table.Td className="number">{account?.nonce}</Table.Td>
                </Table.Tr>
              );
            })}
          </Table.Tbody>
        </Table>
      </div>
    </section>
  );
}

function Settings({ ledger }: { ledger: Ledger }) {
  const facts: [string, string][] = [
    [t.chainId, String(ledger.chainId)],
    [t.node, t.kinds[ledger.kind] ?? ledger.kind],
    [t.period, ledger.period === 0 ? t.asNeeded : t.every(ledger.period)],
    [t.signers, String(ledger.signers.length)],
    [t.settles, ledger.majority === 0 ? t.settlesAtOnce : ledger.signers.length < 2 ? t.settlesAlone : t.settlesBy(ledger.majority)],
    [t.genesis, ledger.genesisHash],
    ...Object.entries(ledger.contracts),
  ];
  return (
    <section aria-labelledby="settings">
      <Title order={2} id="settings" mt="lg" mb="xs">
        {t.settings}
      </Title>
      <div className="wide">
        <Table verticalSpacing={2} aria-label={t.settings}>
          <Columns names={[t.setting, t.value]} />
          <Table.Tbody>
            {facts.map(([name, value]) => (
              <Table.Tr key={name}>
                <Table.Td>{name}</Table.Td>
                <Table.Td>{value.startsWith("0x") ? <CopyLine value={value} /> : value}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
    </section>
  );
}

export default function LedgerPage() {
  const asked = useQuery({ queryKey: ["ledger"], queryFn: () => askJson<Ledger>("/ledger"), refetchInterval: 3_000 });
  if (asked.isPending) return <Loading />;
  if (asked.isError) return <Failure problem={asked.error} again={() => void asked.refetch()} />;
  const ledger = asked.data;
  const { outbox } = ledger;
  const tiles: [string, string | number][] = [
    [t.head, ledger.head],
    [t.settledUpTo, ledger.settled],
    [t.stored, outbox.stored],
    [t.submitted, outbox.submitted],
    [t.included, outbox.included],
    [t.signers, ledger.signers.length],
  ];
  const wrong = !ledger.reachable || ledger.behind ? `${t.away}${ledger.problem && ` ${ledger.problem}`}` : outbox.incidents + outbox.failed > 0 ? t.incidents(outbox.incidents + outbox.failed) : "";
  return (
    <>
      <Heading title={t.title} />
      {wrong && (
        <Alert color="red" variant="light" icon={<IconAlertTriangle />} mb="md" role="status">
          {wrong}
        </Alert>
      )}
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }}>
        {tiles.map(([label, value]) => (
          <div key={label}>
            <Text size="xs" className="dimmed">
              {label}
            </Text>
            <Text size="xl" fw={600}>
              {value}
            </Text>
          </div>
        ))}
      </SimpleGrid>
      <Blocks ledger={ledger} />
      <Accounts ledger={ledger} />
      <Settings ledger={ledger} />
    </>
  );
}
