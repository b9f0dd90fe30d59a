// The work list: QIDO-RS as a table, its state in the address, so that Back and links work.
import { ActionIcon, Button, Group, NativeSelect, Table, Text, TextInput, Tooltip } from "@mantine/core";
import { useIntersection } from "@mantine/hooks";
import { IconChevronLeft, IconChevronRight, IconInfoCircle, IconPlugConnected, IconSearch, IconUpload, IconUserPlus } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { Link, useSearch } from "wouter";
import { type DataSet, ageAt, count, dateText, namesOf, tags, text, timeText } from "../dicom";
import { Picture } from "../parts/picture";
import { usePreview } from "../parts/preview";
import { ProofMark } from "../parts/proof_mark";
import { pageSize, search } from "../parts/search";
import { Empty, Failure, Heading, Loading } from "../parts/states";
import { viewerPath } from "../parts/viewer_path";
import { hasRole, useSession } from "../session";
import { texts } from "../texts";

const t = texts.studies;
const fields = ["PatientName", "PatientID", "AccessionNumber", "ModalitiesInStudy", "from", "to"] as const;
type Wanted = Record<(typeof fields)[number], string>;
const nothing: Wanted = { PatientName: "", PatientID: "", AccessionNumber: "", ModalitiesInStudy: "", from: "", to: "" };
const modalities = ["CR", "CT", "DX", "MG", "MR", "NM", "PT", "US", "XA"];

function keysOf(wanted: Wanted, offset: number): URLSearchParams {
  const keys = new URLSearchParams({ limit: String(pageSize), offset: String(offset), includefield: "StudyDescription" });
  for (const name of ["PatientName", "PatientID", "AccessionNumber", "ModalitiesInStudy"] as const) {
    const value = wanted[name].trim();
    if (value === "") continue;
    keys.set(name, value);
    if (name === "PatientName") keys.set("fuzzymatching", "true");
  }
  const [from, to] = [wanted.from.replaceAll("-", ""), wanted.to.replaceAll("-", "")];
  if (from || to) keys.set("StudyDate", `${from}-${to}`);
  return keys;
}

/** Names of people do not go into addresses: only this window knows what was searched for. */
let lastWanted = nothing;
let lastOffset = 0;

function SearchForm({ wanted, onSearch }: { wanted: Wanted; onSearch: (wanted: Wanted) => void }) {
  const [draft, setDraft] = useState(wanted);
  const set = (name: keyof Wanted) => (event: { currentTarget: { value: string } }) => setDraft({ ...draft, [name]: event.currentTarget.value });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSearch(draft);
  };
  const clear = () => {
    setDraft(nothing);
    onSearch(nothing);
  };
  return (
    <form role="search" onSubmit={submit}>
      <Group gap="xs" align="end" mb="sm">
        <TextInput size="xs" w={180} label={t.name} value={draft.PatientName} onChange={set("PatientName")} autoComplete="off" dir="auto" />
        <TextInput size="xs" w={120} label={t.patientId} value={draft.PatientID} onChange={set("PatientID")} autoComplete="off" />
        <TextInput size="xs" w={130} label={t.accession} value={draft.AccessionNumber} onChange={set("AccessionNumber")} autoComplete="off" />
        <NativeSelect size="xs" w={80} label={t.modality} value={draft.ModalitiesInStudy} onChange={set("ModalitiesInStudy")} data={[{ value: "", label: t.any }, ...modalities]} />
        <TextInput size="xs" w={130} type="date" label={t.from} value={draft.from} onChange={set("from")} />
        <TextInput size="xs" w={130} type="date" label={t.to} value={draft.to} onChange={set("to")} />
        <Button size="xs" type="submit" leftSection={<IconSearch size={14} />}>
          {t.search}
        </Button>
        <Button size="xs" variant="subtle" color="gray" onClick={clear}>
          {t.clear}
        </Button>
      </Group>
    </form>
  );
}

function Row({ set }: { set: DataSet }) {
  const session = useSession();
  const { ref, entry } = useIntersection<HTMLTableRowElement>({ rootMargin: "200px" });
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (entry?.isIntersecting) setSeen(true);
  }, [entry?.isIntersecting]);
  const study = text(set, tags.study);
  const preview = usePreview(`/studies/${study}`, seen);
  const name = namesOf(set);
  const age = ageAt(text(set, tags.birthDate), text(set, tags.date));
  const details = `/app/studies/${study}`;
  return (
    <Table.Tr ref={ref}>
      <Table.Td w={60} py={3}>
        <Picture preview={preview.data} kind="row" />
      </Table.Td>
      <Table.Td>
        {session.viewer ? (
          <a className="strong-link" href={viewerPath(study)} title={t.open(name.main)}>
            <bdi>{name.main}</bdi>
          </a>
        ) : (
          <Link className="strong-link" href={details}>
            <bdi>{name.main}</bdi>
          </Link>
        )}
        {name.other && (
          <Text span size="sm" ms={8}>
            <bdi>{name.other}</bdi>
          </Text>
        )}
        <Text size="xs" className="dimmed">
          <bdi>{text(set, tags.patientId)}</bdi>
          {text(set, tags.birthDate) && ` · ${t.born} ${dateText(text(set, tags.birthDate))}`}
          {age !== undefined && ` (${age})`}
          {text(set, tags.sex) && ` · ${text(set, tags.sex)}`}
        </Text>
      </Table.Td>
      <Table.Td className="date">
        {dateText(text(set, tags.date))}
        <Text size="xs" className="dimmed">
          {timeText(text(set, tags.time))}
        </Text>
      </Table.Td>
      <Table.Td>{text(set, tags.modalitiesInStudy)}</Table.Td>
      <Table.Td>
        <bdi>{text(set, tags.studyDescription) || t.noDescription}</bdi>
        <Text size="xs" className="dimmed">
          <bdi>{text(set, tags.accession)}</bdi>
        </Text>
      </Table.Td>
      <Table.Td className="number">{count(set, tags.instancesOfStudy)}</Table.Td>
      <Table.Td w={56}>
        <ProofMark study={study} proof={preview.data?.proof} pending={!preview.data && !preview.isError} />
      </Table.Td>
      <Table.Td w={48}>
        <Tooltip label={t.actions} position="left">
          <ActionIcon component={Link} href={details} variant="subtle" color="gray" aria-label={t.details(name.main)}>
            <IconInfoCircle size={18} />
          </ActionIcon>
        </Tooltip>
      </Table.Td>
    </Table.Tr>
  );
}

/** What can be done about an archive that is empty. */
function NextSteps() {
  const session = useSession();
  const administers = hasRole(session, "administrator");
  return (
    <Group gap="xs" justify="center">
      {hasRole(session, "technologist", "desk", "doctor") && (
        <Button component={Link} href="/app/upload" variant="light" leftSection={<IconUpload size={16} />}>
          {texts.nav.upload}
        </Button>
      )}
      {administers && (
        <Button component={Link} href="/app/peers" variant="light" leftSection={<IconPlugConnected size={16} />}>
          {t.addPeer}
        </Button>
      )}
      {administers && (
        <Button component={Link} href="/app/people" variant="light" leftSection={<IconUserPlus size={16} />}>
          {texts.people.invite}
        </Button>
      )}
    </Group>
  );
}

export function StudiesPage() {
  const session = useSession();
  const patient = new URLSearchParams(useSearch()).get("PatientID");
  const [wanted, setWanted] = useState<Wanted>(patient ? { ...nothing, PatientID: patient } : lastWanted);
  const [offset, setOffset] = useState(lastOffset);
  useEffect(() => {
    lastWanted = wanted;
    lastOffset = offset;
  }, [wanted, offset]);
  const keys = keysOf(wanted, offset);
  const found = useQuery({ queryKey: ["studies", keys.toString()], queryFn: ({ signal }) => search("/studies", keys, signal), placeholderData: keepPreviousData });
  const sets = found.data?.sets ?? [];
  const asked = fields.some((field) => wanted[field] !== "");
  const look = (now: Wanted) => {
    setWanted(now);
    setOffset(0);
    void found.refetch();
  };
  return (
    <>
      <Heading title={t.title}>
        <Group gap="xs">
          <Text size="sm" className="dimmed" role="status">
            {found.isFetching ? texts.loading : sets.length > 0 ? `${t.newestFirst}: ${t.range(offset + 1, offset + sets.length, found.data?.more ?? false)}` : ""}
          </Text>
          <ActionIcon variant="default" aria-label={t.newer} title={t.newer} disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - pageSize))}>
            <IconChevronLeft size={16} />
          </ActionIcon>
          <ActionIcon variant="default" aria-label={t.older} title={t.older} disabled={!found.data?.more} onClick={() => setOffset(offset + pageSize)}>
            <IconChevronRight size={16} />
          </ActionIcon>
        </Group>
      </Heading>
      <SearchForm wanted={wanted} onSearch={look} />
      {found.isPending && <Loading />}
      {found.isError && <Failure problem={found.error} again={() => void found.refetch()} />}
      {found.data && sets.length === 0 && (
        <Empty title={asked ? t.none : t.empty} text={asked ? t.noneText : t.emptyText}>
          {!asked && <NextSteps />}
        </Empty>
      )}
      {sets.length > 0 && (
        <div className="wide">
          <Table verticalSpacing={4} highlightOnHover aria-label={t.title}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">{t.preview}</Table.Th>
                <Table.Th scope="col">{t.patient}</Table.Th>
                <Table.Th scope="col">{t.date}</Table.Th>
                <Table.Th scope="col">{t.modality}</Table.Th>
                <Table.Th scope="col">{t.description}</Table.Th>
                <Table.Th scope="col" className="number">
                  {t.images}
                </Table.Th>
                <Table.Th scope="col">{t.state}</Table.Th>
                <Table.Th scope="col">{t.actions}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {sets.map((set) => (
                <Row key={text(set, tags.study)} set={set} />
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
      {sets.length > 0 && !session.viewer && (
        <Text size="sm" className="dimmed" mt="sm">
          {t.noViewer}
        </Text>
      )}
    </>
  );
}
