// Images come in: dropped or chosen, folders too, in batches, each with its own answer; what failed can be sent again.
import { Badge, Button, Group, Modal, Progress, ScrollArea, Stack, Table, Text, TextInput } from "@mantine/core";
import { IconFolder, IconUpload } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type DragEvent, type FormEvent, useRef, useState } from "react";
import { Link } from "wouter";
import { bytesText } from "../dicom";
import { filesOf } from "../parts/dropped";
import { say } from "../parts/say";
import { Failure, Heading, problemText } from "../parts/states";
import { instancesOf, isPicture } from "../parts/picture_to_dicom";
import { isDicom, partsOfFiles, partsOfInstances, sopInstanceOf, store } from "../parts/stow";
import { fingerprint } from "../parts/verify";
import { texts } from "../texts";

const t = texts.upload;
const batchBytes = 64 * 1024 ** 2;
const batchFiles = 50;
const mostShown = 500;
const mostDigested = 512 * 1024 ** 2; // a file is read whole for its digest

type State = keyof typeof t.states;
interface Item {
  id: number;
  file: File;
  state: State;
  why?: string;
  digest?: string;
}

const colours: Record<State, string> = { waiting: "gray", reading: "gray", sending: "blue", stored: "teal", aside: "yellow", failed: "red", skipped: "gray" };
let nextId = 1;

function batchesOf(items: Item[]): Item[][] {
  const out: Item[][] = [];
  let bytes = 0;
  for (const item of items) {
    const last = out.at(-1);
    if (!last || last.length >= batchFiles || bytes + item.file.size > batchBytes) {
      out.push([item]);
      bytes = item.file.size;
    } else {
      last.push(item);
      bytes += item.file.size;
    }
  }
  return out;
}

/** Pictures that no modality made: whose they are and what they show is said here. */
function Pictures({ files, close }: { files: File[]; close: () => void }) {
  const queries = useQueryClient();
  const sending = useMutation({
    mutationFn: async (form: FormData) => {
      const said = (name: string) => String(form.get(name)).trim();
      const patientName = [said("family"), said("given")].map((part) => part.replaceAll(/[\\^=]/g, " ")).join("^");
      const instances = await instancesOf(files, { patientName, patientId: said("patientId"), description: said("description") });
      const answer = await store(partsOfInstances(instances), "application/dicom+json", () => {});
      const [why] = answer.failed.values();
      if (why !== undefined) throw new Error(t.reasons[why] ?? t.states.failed);
      return instances.length;
    },
    onSuccess: (count) => {
      say(t.summary(count, count));
      close();
      void queries.invalidateQueries();
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    sending.mutate(new FormData(event.currentTarget));
  };
  return (
    <Modal opened onClose={close} title={t.pictures(files.length)} closeButtonProps={{ "aria-label": texts.close }}>
      <form onSubmit={submit}>
        <Stack gap="sm">
          <Text size="sm">{files.map((file) => file.name).join(", ")}</Text>
          <Group grow>
            <TextInput label={t.family} name="family" required dir="auto" maxLength={60} autoComplete="off" />
            <TextInput label={t.given} name="given" dir="auto" maxLength={60} autoComplete="off" />
          </Group>
          <TextInput label={texts.studies.patientId} name="patientId" required maxLength={64} autoComplete="off" />
          <TextInput label={t.view} name="description" placeholder={t.viewHint} required maxLength={64} dir="auto" />
          {sending.isError && <Failure problem={sending.error} />}
          <Button type="submit" loading={sending.isPending}>
            {t.storePictures}
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}

export default function UploadPage() {
  const [items, setItems] = useState<Item[]>([]);
  const [pictures, setPictures] = useState<File[]>([]);
  const [over, setOver] = useState(false);
  const [busy, setBusy] = useState(false);
  const [sent, setSent] = useState({ bytes: 0, all: 0 });
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const queries = useQueryClient();
  const change = (ids: number[], made: Partial<Item>) => setItems((now) => now.map((item) => (ids.includes(item.id) ? { ...item, ...made } : item)));

  const add = async (given: File[]) => {
    const images = given.filter(isPicture);
    const others = given.filter((file) => !isPicture(file));
    const found = await Promise.all(others.map(async (file): Promise<Item> => ({ id: nextId++, file, state: (await isDicom(file)) ? "waiting" : "skipped" })));
    setItems((now) => [...now, ...found]);
    setPictures((now) => [...now, ...images]);
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void filesOf(event.dataTransfer).then(add);
  };

  const sendBatch = async (batch: Item[], before: number) => {
    const uids = new Map<number, string | undefined>();
    for (const item of batch) {
      change([item.id], { state: "reading", why: undefined });
      uids.set(item.id, await sopInstanceOf(item.file));
      if (item.file.size <= mostDigested) change([item.id], { digest: await fingerprint(await item.file.arrayBuffer()) });
    }
    change(
      batch.map((item) => item.id),
      { state: "sending" },
    );
    try {
      const answer = await store(
        partsOfFiles(batch.map((item) => item.file)),
        "application/dicom",
        (bytes) => setSent((now) => ({ ...now, bytes: before + bytes })),
      );
      for (const item of batch) {
        const uid = uids.get(item.id) ?? "";
        const reason = answer.failed.get(uid);
        if (answer.stored.has(uid)) change([item.id], { state: "stored" });
        else if (answer.aside.has(uid)) change([item.id], { state: "aside" });
        else change([item.id], { state: "failed", why: t.reasons[reason ?? answer.failed.get("") ?? 0xc000] ?? `${(reason ?? 0).toString(16)}H` });
      }
    } catch (problem) {
      change(
        batch.map((item) => item.id),
        { state: "failed", why: problem instanceof TypeError ? t.interrupted : problemText(problem) },
      );
    }
  };

  const send = async (wanted: Item[]) => {
    setBusy(true);
    setSent({ bytes: 0, all: wanted.reduce((sum, item) => sum + item.file.size, 0) });
    let before = 0;
    for (const batch of batchesOf(wanted)) {
      await sendBatch(batch, before);
      before += batch.reduce((sum, item) => sum + item.file.size, 0);
      setSent((now) => ({ ...now, bytes: before }));
    }
    setBusy(false);
    await queries.invalidateQueries();
  };

  const waiting = items.filter((item) => item.state === "waiting");
  const failed = items.filter((item) => item.state === "failed");
  const stored = items.filter((item) => item.state === "stored");
  const chosen = (input: HTMLInputElement | null) => {
    void add([...(input?.files ?? [])]);
    if (input) input.value = "";
  };
  return (
    <>
      <Heading title={t.title} />
      <Stack gap="md" maw={1000}>
        <section
          aria-label={t.drop}
          className={over ? "drop drop-over" : "drop"}
          onDragOver={(event) => {
            event.preventDefault();
            setOver(true);
          }}
          onDragLeave={() => setOver(false)}
          onDrop={drop}
        >
          <IconUpload size={32} aria-hidden />
          <Text fw={600}>{t.drop}</Text>
          <Text size="sm" className="dimmed" mb="md">
            {t.hint}
          </Text>
          <Group justify="center" gap="xs">
            <Button variant="default" size="xs" onClick={() => files.current?.click()}>
              {t.choose}
            </Button>
            <Button variant="default" size="xs" leftSection={<IconFolder size={14} />} onClick={() => folder.current?.click()}>
              {t.chooseFolder}
            </Button>
          </Group>
          <input ref={files} hidden type="file" multiple aria-label={t.choose} onChange={() => chosen(files.current)} />
          <input ref={folder} hidden type="file" {...{ webkitdirectory: "" }} aria-label={t.chooseFolder} onChange={() => chosen(folder.current)} />
        </section>
        {pictures.length > 0 && <Pictures files={pictures} close={() => setPictures([])} />}
        {items.length > 0 && (
          <>
            <Group justify="space-between">
              <Group gap="xs">
                {waiting.length > 0 && (
                  <Button onClick={() => void send(waiting)} loading={busy}>
                    {t.start(waiting.length)}
                  </Button>
                )}
                {!busy && failed.length > 0 && (
                  <Button variant="default" onClick={() => void send(failed)}>
                    {t.again(failed.length)}
                  </Button>
                )}
                {!busy && stored.length > 0 && (
                  <Button variant="light" component={Link} href="/">
                    {t.seeStudies}
                  </Button>
                )}
                {!busy && (
                  <Button variant="subtle" color="gray" onClick={() => setItems([])}>
                    {t.clear}
                  </Button>
                )}
              </Group>
              <Text size="sm" role="status">
                {t.summary(stored.length, items.length)}
              </Text>
            </Group>
            {sent.all > 0 && <Progress value={Math.min(100, (100 * sent.bytes) / sent.all)} aria-label={t.progress} />}
            <ScrollArea.Autosize mah={480} viewportProps={{ tabIndex: 0 }}>
              <Table verticalSpacing={3} stickyHeader aria-label={t.title}>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th scope="col">{t.file}</Table.Th>
                    <Table.Th scope="col" className="number">
                      {t.size}
                    </Table.Th>
                    <Table.Th scope="col">{t.digest}</Table.Th>
                    <Table.Th scope="col">{t.state}</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.slice(0, mostShown).map((item) => (
                    <Table.Tr key={item.id}>
                      <Table.Td>
                        <bdi>{item.file.name}</bdi>
                      </Table.Td>
                      <Table.Td className="number">{bytesText(item.file.size)}</Table.Td>
                      <Table.Td className="mono" title={item.digest}>
                        {item.digest ? `${item.digest.slice(0, 16)}…` : ""}
                      </Table.Td>
                      <Table.Td>
                        <Badge variant="light" color={colours[item.state]} tt="none" size="sm">
                          {t.states[item.state]}
                        </Badge>
                        {item.why && (
                          <Text size="xs" component="span" ms={6}>
                            {item.why}
                          </Text>
                        )}
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </ScrollArea.Autosize>
          </>
        )}
      </Stack>
    </>
  );
}
