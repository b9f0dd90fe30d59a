import { Alert, List, SimpleGrid, Table, Text, TextInput, Title } from "@mantine/core";
import { IconAlertTriangle, IconCircleCheck } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Problem, administering, ask } from "../api";
import { bytesText } from "../dicom";
import { Failure, Heading, Loading } from "../parts/states";
import { texts } from "../texts";

const t = texts.health;

interface Metric {
  name: string;
  help: string;
  value: number;
}

/** Prometheus' text format, version 0.0.4. */
function parseMetrics(written: string): Metric[] {
  const help = new Map<string, string>();
  const metrics: Metric[] = [];
  for (const line of written.split("\n")) {
    const said = /^# HELP (\S+) (.*)$/.exec(line);
    if (said?.[1]) help.set(said[1], said[2] ?? "");
    const value = /^([a-z_]+)((?:\{.*\})?) (\S+)$/.exec(line);
    if (value?.[1]) metrics.push({ name: value[1] + (value[2] ?? ""), help: help.get(value[1]) ?? "", value: Number(value[3]) });
  }
  return metrics;
}

async function readiness(): Promise<{ ready: boolean; notes: string[] }> {
  try {
    return await (await ask("/readyz", administering)).json();
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 503) return { ready: false, notes: [problem.message] };
    throw problem;
  }
}

const tiles: [string, string, (value: number) => string][] = [
  [t.studies, "fiducial_studies", String],
  [t.instances, "fiducial_instances", String],
  [t.bytes, "fiducial_bytes", bytesText],
  [t.free, "fiducial_disk_free_bytes", bytesText],
  [t.blocks, "fiducial_chain_head", String],
  [t.settled, "fiducial_chain_settled", String],
];

export default function HealthPage() {
  const [filter, setFilter] = useState("");
  const ready = useQuery({ queryKey: ["ready"], queryFn: readiness, refetchInterval: 10_000 });
  const metrics = useQuery({ queryKey: ["metrics"], queryFn: async () => parseMetrics(await (await ask("/metrics", { ...administering, accept: "text/plain" })).text()), refetchInterval: 10_000 });
  if (ready.isPending) return <Loading />;
  if (ready.isError) return <Failure problem={ready.error} again={() => void ready.refetch()} />;
  const shown = (metrics.data ?? []).filter((metric) => `${metric.name} ${metric.help}`.toLowerCase().includes(filter.toLowerCase()));
  return (
    <>
      <Heading title={t.title} />
      <Alert color={ready.data.ready ? "teal" : "red"} variant="light" icon={ready.data.ready ? <IconCircleCheck /> : <IconAlertTriangle />} mb="md" role="status">
        {ready.data.ready ? t.ready : t.notReady}
      </Alert>
      {ready.data.notes.length > 0 && (
        <section aria-label={t.notes}>
          <Title order={2} mb="xs">
            {t.notes}
          </Title>
          <List size="sm" mb="md">
            {ready.data.notes.map((note) => (
              <List.Item key={note}>{note}</List.Item>
            ))}
          </List>
        </section>
      )}
      {metrics.isError && <Failure problem={metrics.error} />}
      {metrics.data && (
        <>
          <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} mb="lg">
            {tiles.map(([label, name, written]) => {
              const metric = metrics.data.find((one) => one.name === name);
              return metric === undefined ? null : (
                <div key={name}>
                  <Text size="xs" className="dimmed">
                    {label}
                  </Text>
                  <Text size="xl" fw={600}>
                    {written(metric.value)}
                  </Text>
                </div>
              );
            })}
          </SimpleGrid>
          <Title order={2} mb="xs">
            {t.requests}
          </Title>
          <TextInput size="xs" maw={280} mb="xs" label={t.filter} value={filter} onChange={(event) => setFilter(event.currentTarget.value)} />
          <div className="wide">
            <Table verticalSpacing={2} aria-label={t.requests}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th scope="col">{t.figure}</Table.Th>
                  <Table.Th scope="col" className="number">
                    {t.value}
                  </Table.Th>
                  <Table.Th scope="col">{t.meaning}</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {shown.map((metric) => (
                  <Table.Tr key={metric.name}>
                    <Table.Td className="mono">{metric.name}</Table.Td>
                    <Table.Td className="number">{metric.name.includes("bytes") ? bytesText(metric.value) : metric.value}</Table.Td>
                    <Table.Td>{metric.help}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </div>
        </>
      )}
    </>
  );
}
