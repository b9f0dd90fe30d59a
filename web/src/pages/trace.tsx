// Who looked at what, for those who watch over it: searched, proved, taken away as a table; and who broke the glass.
import { Alert, Badge, Button, Group, NativeSelect, Table, Tabs, Text, TextInput } from "@mantine/core";
import { IconAlertTriangle, IconCertificate, IconFileSpreadsheet, IconHammer, IconSearch } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { administering, ask, askJson } from "../api";
import { momentText } from "../dicom";
import { Columns } from "../parts/columns";
import { ProvedEntry } from "../parts/proved_entry";
import { saveFile } from "../parts/save_file";
import { say } from "../parts/say";
import { Empty, Failure, Heading, Loading, problemText } from "../parts/states";
import type { Emergency, FoundEntries, TraceEntry } from "../parts/trace";
import { texts } from "../texts";

const t = texts.trace;
const pageSize = 50;
const mostInTable = 100_000;
const fields = ["person", "patient", "study", "from", "to", "action", "result"] as const;
type Wanted = Partial<Record<(typeof fields)[number], string>>;

function keysOf(wanted: Wanted, more: Record<string, number>): URLSearchParams {
  const keys = new URLSearchParams();
  for (const field of fields) if (wanted[field]) keys.set(field, wanted[field]);
  for (const [name, value] of Object.entries(more)) keys.set(name, String(value));
  return keys;
}

function SearchForm({ wanted, onSearch, pending }: { wanted: Wanted; onSearch: (wanted: Wanted) => void; pending: boolean }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    onSearch(Object.fromEntries(fields.map((field) => [field, String(form.get(field) ?? "").trim()])));
  };
  const options = (all: Record<string, string>) => [{ value: "", label: texts.studies.any }, ...Object.entries(all).map(([value, label]) => ({ value, label }))];
  return (
    <form onSubmit={submit}>
      <Group gap="xs" align="end" mb="sm">
        <TextInput size="xs" w={130} name="person" label={t.person} defaultValue={wanted.person} dir="auto" autoComplete="off" />
        <TextInput size="xs" w={120} name="patient" label={t.patient} defaultValue={wanted.patient} autoComplete="off" />
        <TextInput size="xs" w={150} name="study" label={t.study} defaultValue={wanted.study} autoComplete="off" />
        <TextInput size="xs" type="date" name="from" label={t.from} defaultValue={wanted.from} />
        <TextInput size="xs" type="date" name="to" label={t.to} defaultValue={wanted.to} />
        <NativeSelect size="xs" w={150} name="action" label={t.action} defaultValue={wanted.action} data={options(t.actions)} />
        <NativeSelect size="xs" w={100} name="result" label={t.result} defaultValue={wanted.result} data={options(t.results)} />
        <Button size="xs" type="submit" leftSection={<IconSearch size={14} />} loading={pending}>
          {texts.studies.search}
        </Button>
        <Button size="xs" variant="default" onClick={() => onSearch({})}>
          {texts.studies.clear}
        </Button>
      </Group>
    </form>
  );
}

function Entries({ entries, prove }: { entries: TraceEntry[]; prove: (entry: TraceEntry) => void }) {
  return (
    <div className="wide">
      <Table highlightOnHover verticalSpacing={4} aria-label={t.title}>
        <Columns names={[t.number, t.when, t.person, t.what, t.patient, t.purpose, t.decision]} actions />
        <Table.Tbody>
          {entries.map((entry) => (
            <Table.Tr key={entry.index}>
              <Table.Td className="number">{entry.index}</Table.Td>
              <Table.Td className="date">{momentText(entry.time)}</Table.Td>
              <Table.Td>
                <bdi>{entry.who}</bdi>
                <Text size="xs" className="dimmed">
                  {entry.from}
                </Text>
              </Table.Td>
              <Table.Td>{t.actions[entry.action] ?? entry.action}</Table.Td>
              <Table.Td>
                <bdi>{entry.patientId}</bdi>
                {entry.studyInstanceUid && (
                  <Text size="xs" className="mono dimmed">
                    {entry.studyInstanceUid}
                  </Text>
                )}
              </Table.Td>
              <Table.Td>{texts.purposes[entry.purpose] ?? entry.purpose}</Table.Td>
              <Table.Td>
                <Badge variant="light" tt="none" color={!entry.allowed ? "red" : entry.result === "success" ? "teal" : "yellow"}>
                  {!entry.allowed ? t.denied : entry.result === "success" ? t.allowed : (t.results[entry.result] ?? entry.result)}
                </Badge>
                <Text size="xs" className="dimmed">
                  {entry.reason}
                </Text>
              </Table.Td>
              <Table.Td>
                <Button size="compact-xs" variant="default" leftSection={<IconCertificate size={14} />} aria-label={t.proveOf(entry.index)} onClick={() => prove(entry)}>
                  {t.prove}
                </Button>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

function Search({ wanted, setWanted }: { wanted: Wanted; setWanted: (wanted: Wanted) => void }) {
  const [pages, setPages] = useState<number[]>([]); // each begins before this entry
  const [proving, setProving] = useState<TraceEntry>();
  const before = pages.at(-1);
  const keys = keysOf(wanted, { limit: pageSize, ...(before !== undefined && { before }) }).toString();
  const asked = useQuery({ queryKey: ["trace", keys], queryFn: ({ signal }) => askJson<FoundEntries>(`/trace?${keys}`, { ...administering, signal }), staleTime: Infinity });
  const table = useMutation({
    mutationFn: async () => saveFile("trace.csv", await (await ask(`/trace?${keysOf(wanted, { limit: mostInTable })}`, { ...administering, accept: "text/csv" })).blob()),
    onError: (problem) => say(problemText(problem), { wrong: true }),
  });
  const search = (next: Wanted) => {
    setWanted(next);
    if (JSON.stringify(next) === JSON.stringify(wanted)) void asked.refetch(); // a look of its own
  };
  const entries = [...(asked.data?.entries ?? [])].reverse(); // the newest on top
  const further = asked.data?.before;
  return (
    <>
      <SearchForm wanted={wanted} onSearch={search} pending={asked.isFetching} />
      {asked.isPending && <Loading />}
      {asked.isError && <Failure problem={asked.error} again={() => void asked.refetch()} />}
      {asked.isSuccess && entries.length === 0 && <Empty title={t.none} text={t.noneText} />}
      {entries.length > 0 && (
        <>
          <Entries entries={entries} prove={setProving} />
          <Group justify="space-between" mt="sm">
            <Button size="xs" variant="default" leftSection={<IconFileSpreadsheet size={16} />} loading={table.isPending} onClick={() => table.mutate()}>
              {t.table}
            </Button>
            <Group gap="xs">
              <Text size="sm" className="dimmed">
                {t.size(asked.data?.size ?? 0)}
              </Text>
              <Button size="xs" variant="default" disabled={pages.length === 0} onClick={() => setPages(pages.slice(0, -1))}>
                {texts.studies.newer}
              </Button>
              <Button size="xs" variant="default" disabled={further === undefined} onClick={() => further !== undefined && setPages([...pages, further])}>
                {texts.studies.older}
              </Button>
            </Group>
          </Group>
        </>
      )}
      {proving && <ProvedEntry entry={proving} close={() => setProving(undefined)} />}
    </>
  );
}

function Emergencies({ asked, onLooks }: { asked: ReturnType<typeof useEmergencies>; onLooks: (wanted: Wanted) => void }) {
  if (asked.isPending) return <Loading />;
  if (asked.isError) return <Failure problem={asked.error} again={() => void asked.refetch()} />;
  if (asked.data.length === 0) return <Empty title={t.glass.none} text={t.glass.noneText} />;
  return (
    <div className="wide">
      <Table highlightOnHover aria-label={t.glass.title}>
        <Columns names={[t.when, t.glass.who, t.patient, t.glass.why, t.glass.ledger]} actions />
        <Table.Tbody>
          {asked.data.map((one) => (
            <Table.Tr key={one.id}>
              <Table.Td className="date">
                {momentText(one.from)}
                <Text size="xs" className="dimmed">
                  {t.glass.until(momentText(one.until))}
                </Text>
              </Table.Td>
              <Table.Td>
                <bdi>{one.person}</bdi>
              </Table.Td>
              <Table.Td>
                <bdi>{one.patientId}</bdi>
                <Text size="xs" className="mono dimmed">
                  {one.studyInstanceUid}
                </Text>
              </Table.Td>
              <Table.Td>
                {texts.emergency.reasons[one.reason] ?? one.reason}
                <Text size="sm">
                  <bdi>{one.text && `“${one.text}”`}</bdi>
                </Text>
              </Table.Td>
              <Table.Td>
                <Badge variant="light" tt="none" color={one.anchored ? "teal" : "yellow"}>
                  {one.anchored ? t.glass.anchored(one.block ?? 0) : t.glass.notYet}
                </Badge>
                {!one.anchored && (
                  <Text size="xs" className="dimmed">
                    {texts.proof.states[one.state ?? ""] ?? one.state}
                    {one.problem && `: ${one.problem}`}
                  </Text>
                )}
              </Table.Td>
              <Table.Td>
                <Button size="compact-xs" variant="default" aria-label={t.glass.looksOf(one.person)} onClick={() => onLooks({ person: one.person, patient: one.patientId, from: one.from.slice(0, 10), to: one.until.slice(0, 10) })}>
                  {t.glass.looks}
                </Button>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

function useEmergencies() {
  return useQuery({ queryKey: ["emergencies"], queryFn: async () => (await askJson<{ emergencies: Emergency[] }>("/trace/emergencies", administering)).emergencies });
}

export default function TracePage() {
  const [tab, setTab] = useState<string | null>("search");
  const [wanted, setWanted] = useState<Wanted>({});
  const emergencies = useEmergencies();
  const waiting = emergencies.data?.filter((one) => !one.anchored).length ?? 0;
  const showLooks = (next: Wanted) => {
    setWanted(next);
    setTab("search");
  };
  return (
    <>
      <Heading title={t.title} />
      {waiting > 0 && (
        <Alert color="yellow" variant="light" icon={<IconAlertTriangle />} mb="md" role="status">
          {t.glass.waiting(waiting)}
        </Alert>
      )}
      <Tabs value={tab} onChange={setTab}>
        <Tabs.List mb="md">
          <Tabs.Tab value="search" leftSection={<IconSearch size={16} />}>
            {t.looks}
          </Tabs.Tab>
          <Tabs.Tab value="glass" leftSection={<IconHammer size={16} />}>
            {t.glass.title}
          </Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="search">
          <Search key={JSON.stringify(wanted)} wanted={wanted} setWanted={setWanted} />
        </Tabs.Panel>
        <Tabs.Panel value="glass">
          <Emergencies asked={emergencies} onLooks={showLooks} />
        </Tabs.Panel>
      </Tabs>
    </>
  );
}
