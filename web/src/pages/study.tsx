// One study: what is in it, what vouches for it, and what became of it over time.
import { Badge, Button, Card, Group, Progress, SimpleGrid, Stack, Table, Text, Timeline, Title } from "@mantine/core";
import { IconBolt, IconCamera, IconCertificate, IconCircleCheck, IconEye, IconHandStop, IconShieldCheck, IconTrash } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { Problem, askJson, send } from "../api";
import { type DataSet, ageAt, bytesText, count, dateText, momentText, nameText, namesOf, tags, text, timeText } from "../dicom";
import { BreakGlass } from "../parts/break_glass";
import { Picture } from "../parts/picture";
import { usePreview } from "../parts/preview";
import { ProofDetails } from "../parts/proof_mark";
import { type LooksOfOne, useLooks } from "../parts/looks";
import type { StudyRecord } from "../parts/record";
import { search } from "../parts/search";
import { say } from "../parts/say";
import { Failure, Heading, Loading, problemText } from "../parts/states";
import { TakeOut, usePutBack } from "../parts/take_out";
import { type Verification, verifyStudy } from "../parts/verify";
import { viewerPath } from "../parts/viewer_path";
import { hasRole, useSession } from "../session";
import { texts } from "../texts";

const t = texts.study;

function SeriesCard({ study, set }: { study: string; set: DataSet }) {
  const preview = usePreview(`/studies/${study}/series/${text(set, tags.series)}`);
  const title = text(set, tags.seriesDescription) || t.seriesNumber(text(set, tags.seriesNumber));
  return (
    <Card withBorder padding="xs">
      <Card.Section>
        <Picture preview={preview.data} kind="series" />
      </Card.Section>
      <Group justify="space-between" wrap="nowrap" gap={4} mt={6}>
        <Text size="sm" fw={600} truncate title={title}>
          <bdi>{title}</bdi>
        </Text>
        <TakeOut path={`/studies/${study}/series/${text(set, tags.series)}`} what={title} />
      </Group>
      <Text size="xs" className="dimmed">
        {[text(set, tags.modality), text(set, tags.bodyPart), t.images(count(set, tags.instancesOfSeries))].filter(Boolean).join(" · ")}
      </Text>
      {preview.data?.proof?.damaged && (
        <Badge color="red" size="sm" mt={4}>
          {t.damaged}
        </Badge>
      )}
    </Card>
  );
}

/** "quality: motion, repeated" in words. */
function removalText(written: string): string {
  const [reason = "", ...words] = written.split(": ");
  return t.removedBecause(texts.takeOut.reasons[reason] ?? reason, words.join(": "));
}

/** One person's looks of a day; a time line knows its items as its own children alone. */
function lookItem(look: LooksOfOne) {
  const title = look.allowed ? t.historyLooks(look.who, texts.trace.actions[look.action] ?? look.action, look.times) : t.historyDenied(look.who);
  return (
    <Timeline.Item key={`l${look.index}`} bullet={look.allowed ? <IconEye size={14} /> : <IconHandStop size={14} />} title={<bdi>{title}</bdi>}>
      <Text size="sm">
        {texts.purposes[look.purpose] ?? look.purpose}
        {look.emergency && look.purpose !== "emergency" && `, ${t.historyEmergency}`}: {look.reason}
      </Text>
      <Text size="xs" className="dimmed">
        {momentText(look.last)}
      </Text>
    </Timeline.Item>
  );
}

function History({ set, record }: { set: DataSet; record: StudyRecord }) {
  const session = useSession();
  const putBack = usePutBack();
  const { looks, problem, more } = useLooks(record.studyInstanceUid);
  const events: { at: string; version?: StudyRecord["versions"][number]; removal?: StudyRecord["removed"][number]; look?: LooksOfOne }[] = [
    ...record.versions.map((version) => ({ at: version.made, version })),
    ...record.removed.map((removal) => ({ at: removal.at, removal })),
    ...looks.map((look) => ({ at: look.last, look })),
  ].sort((one, other) => one.at.localeCompare(other.at));
  return (
    <>
      {problem !== null && <Failure title={t.looksFailed} problem={problem} />}
      {more && (
        <Text size="xs" className="dimmed" mb="xs">
          {t.historyOlder}
        </Text>
      )}
      <Timeline bulletSize={24} lineWidth={2} active={events.length}>
        <Timeline.Item bullet={<IconCamera size={14} />} title={t.historyTaken}>
          <Text size="xs" className="dimmed">
            {dateText(text(set, tags.date))} {timeText(text(set, tags.time))}
          </Text>
        </Timeline.Item>
        {events.map(({ at, version, removal, look }) =>
          look ? (
            lookItem(look)
          ) : version ? (
            <Timeline.Item key={`v${version.version}`} bullet={<IconCertificate size={14} />} title={t.historyVersion(version.version)}>
              <Text size="sm">
                {t.historyReasons[version.reasons] ?? version.reasons}, {t.images(version.instances)}
              </Text>
              <Text size="sm">
                {texts.proof.states[version.state ?? "stored"] ?? version.state}
                {version.block ? `, ${texts.proof.block.toLowerCase()} ${version.block}` : ""}
              </Text>
              <Text size="xs" className="dimmed">
                {momentText(at)}
              </Text>
            </Timeline.Item>
          ) : (
            <Timeline.Item key={`r${removal?.sopInstanceUid}`} bullet={<IconTrash size={14} />} title={t.removed}>
              <Text size="sm">{removal && removalText(removal.reason)}</Text>
              {removal && hasRole(session, "technologist", "custodian") && (
                <Button size="compact-xs" variant="default" onClick={() => putBack.mutate(`/studies/${record.studyInstanceUid}/series/${removal.seriesInstanceUid}/instances/${removal.sopInstanceUid}`)}>
                  {texts.takeOut.putBack}
                </Button>
              )}
              <Text size="xs" className="dimmed">
                {momentText(at)}
              </Text>
            </Timeline.Item>
          ),
        )}
      </Timeline>
    </>
  );
}

function Others({ study, set }: { study: string; set: DataSet }) {
  const keys = new URLSearchParams({ PatientID: text(set, tags.patientId), limit: "20", includefield: "StudyDescription" });
  const issuer = text(set, tags.issuer);
  if (issuer) keys.set("IssuerOfPatientID", issuer);
  const found = useQuery({ queryKey: ["studies", keys.toString()], queryFn: ({ signal }) => search("/studies", keys, signal) });
  const others = (found.data?.sets ?? []).filter((other) => text(other, tags.study) !== study);
  if (found.isPending) return <Loading />;
  if (others.length === 0)
    return (
      <Text size="sm" className="dimmed">
        {t.noOthers}
      </Text>
    );
  return (
    <Stack gap={4}>
      {others.map((other) => (
        <Group key={text(other, tags.study)} gap="sm" wrap="nowrap">
          <Text size="sm" className="date">
            {dateText(text(other, tags.date))}
          </Text>
          <Text size="sm" w={36}>
            {text(other, tags.modalitiesInStudy)}
          </Text>
          <Link className="strong-link" href={`/app/studies/${text(other, tags.study)}`}>
            <bdi>{text(other, tags.studyDescription) || texts.studies.details(namesOf(other).main)}</bdi>
          </Link>
        </Group>
      ))}
    </Stack>
  );
}

function Verify({ record }: { record: StudyRecord }) {
  const session = useSession();
  const [state, setState] = useState<Verification>();
  const [flipped, setFlipped] = useState(false);
  const queries = useQueryClient();
  const start = async () => {
    setState({ done: 0, all: record.objects.length, bad: [] });
    await verifyStudy(record, setState);
    await queries.invalidateQueries();
  };
  const flip = async (object: string) => {
    try {
      await send("POST", "/demo/flip", { object, back: flipped });
      setFlipped(!flipped);
    } catch (problem) {
      say(problemText(problem), { wrong: true });
    }
    await start();
  };
  const first = record.objects[0];
  const running = state !== undefined && state.done < state.all;
  return (
    <Stack gap={6}>
      <Button variant="default" size="xs" leftSection={<IconShieldCheck size={16} />} onClick={() => void start()} loading={running} w="fit-content">
        {t.verify}
      </Button>
      {session.demo && first && (
        <Button color="red" variant="light" size="xs" leftSection={<IconBolt size={16} />} onClick={() => void flip(first.objectId)} disabled={running} w="fit-content" title={texts.demo.flipText}>
          {flipped ? texts.demo.undo : texts.demo.flip}
        </Button>
      )}
      <div role="status">
        {running && (
          <>
            <Text size="xs">{t.verifying(state.done, state.all)}</Text>
            <Progress value={(100 * state.done) / Math.max(1, state.all)} size="sm" aria-label={t.verify} />
          </>
        )}
        {state && !running && (
          <Text size="sm" c={state.bad.length > 0 ? "red" : undefined}>
            {state.bad.length > 0 ? t.notVerified(state.bad.length, state.all) : t.verified(state.all)}
          </Text>
        )}
        {state?.bad.map(({ uid, why }) => (
          <Text key={uid} size="xs" className="mono">
            {uid}: {why}
          </Text>
        ))}
      </div>
    </Stack>
  );
}

function Objects({ record }: { record: StudyRecord }) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t.details}</summary>
      {open && (
        <div className="wide">
          <Table verticalSpacing={2} mt="xs" aria-label={t.details}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">SOP Instance UID</Table.Th>
                <Table.Th scope="col">{t.syntax}</Table.Th>
                <Table.Th scope="col" className="number">
                  {t.size}
                </Table.Th>
                <Table.Th scope="col">{t.sha256}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {record.objects.map((object) => (
                <Table.Tr key={object.objectId}>
                  <Table.Td className="mono">{object.sopInstanceUid}</Table.Td>
                  <Table.Td className="mono">{object.transferSyntax}</Table.Td>
                  <Table.Td className="number">{bytesText(object.size)}</Table.Td>
                  <Table.Td className="mono">{object.sha256}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </details>
  );
}

function Denied({ study, problem, again }: { study: string; problem: unknown; again: () => void }) {
  return (
    <Failure problem={problem} title={texts.denied.title}>
      <Text size="sm">{texts.denied.what}</Text>
      <BreakGlass study={study} onOpened={again} />
    </Failure>
  );
}

/** Of a study that everything was taken out of, and that searches find no more. */
function setOf(record: StudyRecord): DataSet {
  return {
    [tags.patientName]: { vr: "PN", Value: [{ Alphabetic: record.patientName }] },
    [tags.patientId]: { vr: "LO", Value: [record.patientId] },
    [tags.date]: { vr: "DA", Value: [record.date] },
    [tags.studyDescription]: { vr: "LO", Value: [record.description] },
  };
}

export function StudyPage({ study }: { study: string }) {
  const session = useSession();
  const keys = new URLSearchParams({ StudyInstanceUID: study, includefield: "all" });
  const found = useQuery({ queryKey: ["study", study], queryFn: ({ signal }) => search("/studies", keys, signal) });
  const record = useQuery({ queryKey: ["record", study], queryFn: () => askJson<StudyRecord>(`/studies/${study}/record`) });
  const seriesKeys = new URLSearchParams({ includefield: "all" });
  const series = useQuery({ queryKey: ["series", study], queryFn: ({ signal }) => search(`/studies/${study}/series`, seriesKeys, signal), enabled: record.isSuccess });
  const queries = useQueryClient();
  const again = () => void queries.invalidateQueries();
  const preview = usePreview(`/studies/${study}`, record.isSuccess);
  if (record.isError && record.error instanceof Problem && record.error.status === 403) return <Denied study={study} problem={record.error} again={again} />;
  if (record.isError) return <Failure problem={record.error} again={again} />;
  if (found.isError) return <Failure problem={found.error} again={again} />;
  if (found.isPending || record.isPending) return <Loading />;
  const set = found.data.sets[0] ?? setOf(record.data);
  const name = namesOf(set);
  const age = ageAt(text(set, tags.birthDate), text(set, tags.date));
  const referrer = nameText(((set[tags.referrer]?.Value?.[0] ?? {}) as { Alphabetic?: string }).Alphabetic ?? "");
  return (
    <>
      <Heading title={name.main}>
        <Group gap="xs">
          <Button component="a" size="xs" variant="default" leftSection={<IconCertificate size={16} />} href={`/studies/${study}/evidence`} download={`${study}.evidence.json`} title={t.evidenceHint}>
            {t.evidence}
          </Button>
          {session.viewer && (
            <Button component="a" size="xs" href={viewerPath(study)} leftSection={<IconEye size={16} />}>
              {t.openViewer}
            </Button>
          )}
        </Group>
      </Heading>
      <Text size="sm" mb="md">
        {name.other && (
          <>
            <bdi>{name.other}</bdi>
            {" · "}
          </>
        )}
        <bdi>{text(set, tags.patientId)}</bdi>
        {text(set, tags.birthDate) && ` · ${texts.studies.born} ${dateText(text(set, tags.birthDate))}`}
        {age !== undefined && ` (${age})`}
        {text(set, tags.sex) && ` · ${text(set, tags.sex)}`}
        <br />
        <b>
          <bdi>{text(set, tags.studyDescription) || t.series}</bdi>
        </b>
        {` · ${dateText(text(set, tags.date))} ${timeText(text(set, tags.time))}`}
        {text(set, tags.accession) && ` · ${t.accession} ${text(set, tags.accession)}`}
        {referrer && (
          <>
            {` · ${t.referrer} `}
            <bdi>{referrer}</bdi>
          </>
        )}
      </Text>
      {preview.data?.denied && <Denied study={study} problem={preview.data.denied} again={again} />}
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="xl">
        <Stack gap="lg">
          <section aria-labelledby="series">
            <Title order={2} id="series" mb="xs">
              {t.series}
            </Title>
            {series.isPending && <Loading />}
            {series.data?.sets.length === 0 && (
              <Text size="sm" className="dimmed">
                {t.nothingLeft}
              </Text>
            )}
            {series.isError && <Failure problem={series.error} again={() => void series.refetch()} />}
            <SimpleGrid cols={{ base: 2, sm: 3 }} spacing="sm">
              {series.data?.sets.map((one) => <SeriesCard key={text(one, tags.series)} study={study} set={one} />)}
            </SimpleGrid>
          </section>
          <section aria-labelledby="others">
            <Title order={2} id="others" mb="xs">
              {t.others}
            </Title>
            <Others study={study} set={set} />
          </section>
        </Stack>
        <Stack gap="lg">
          <section aria-labelledby="proof">
            <Title order={2} id="proof" mb="xs">
              <Group gap={6}>
                {preview.data?.proof?.state === "settled" && <IconCircleCheck size={18} color="var(--mantine-color-teal-6)" aria-hidden />}
                {texts.proof.title}
              </Group>
            </Title>
            <Stack gap="sm">
              <ProofDetails study={study} proof={preview.data?.proof} />
              <Verify record={record.data} />
            </Stack>
          </section>
          <section aria-labelledby="history">
            <Title order={2} id="history" mb="xs">
              {t.history}
            </Title>
            <History set={set} record={record.data} />
          </section>
        </Stack>
      </SimpleGrid>
      <Stack mt="lg">
        <Objects record={record.data} />
        <span className="mono dimmed">
          {t.uid} {study}
        </span>
      </Stack>
    </>
  );
}
