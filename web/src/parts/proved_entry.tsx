// What proves an entry of the trace, in words and to be taken away.
import { Alert, Button, Group, Modal, Stack, Text } from "@mantine/core";
import { IconAlertTriangle, IconCircleCheck, IconClock, IconDownload } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { momentText } from "../dicom";
import { texts } from "../texts";
import { CopyLine } from "./copy_line";
import { proveEntry } from "./prove_entry";
import { saveFile } from "./save_file";
import { Failure, Loading } from "./states";
import type { TraceEntry } from "./trace";

const t = texts.trace.proof;

export function ProvedEntry({ entry, close }: { entry: TraceEntry; close: () => void }) {
  const asked = useQuery({ queryKey: ["trace proof", entry.index], queryFn: () => proveEntry(entry.index), gcTime: 0, retry: false });
  const proved = asked.data;
  const ledger = proved?.proof.ledger;
  return (
    <Modal opened onClose={close} size="lg" title={t.title(entry.index)} closeButtonProps={{ "aria-label": texts.close }}>
      <Stack gap="sm">
        <Text size="sm">{entry.words}</Text>
        {asked.isPending && <Loading />}
        {asked.isError && <Failure problem={asked.error} again={() => void asked.refetch()} />}
        {proved?.holds === true && ledger && (
          <Alert color="teal" variant="light" icon={<IconCircleCheck />} role="status">
            {t.holds(ledger.size, momentText(ledger.time ?? ""))}
          </Alert>
        )}
        {proved?.holds === false && (
          <Alert color="red" variant="light" icon={<IconAlertTriangle />} role="alert">
            {t.fails}
          </Alert>
        )}
        {proved && proved.holds === undefined && (
          <Alert color="yellow" variant="light" icon={<IconClock />} role="status">
            {proved.proof.notCompared ? t.away(proved.proof.notCompared) : t.notYet(ledger?.size ?? 0)}
          </Alert>
        )}
        {proved && (
          <>
            {proved.holds !== undefined && (
              <Text size="sm" className="dimmed">
                {t.how}
              </Text>
            )}
            <Text size="xs" className="dimmed">
              {t.key}
            </Text>
            <CopyLine value={proved.proof.key.trim()} />
            <Group>
              <Button size="xs" variant="default" leftSection={<IconDownload size={16} />} onClick={() => saveFile(`entry-${entry.index}.tlog-proof`, new Blob([proved.proof.proof], { type: "text/plain" }))}>
                {t.file}
              </Button>
            </Group>
          </>
        )}
      </Stack>
    </Modal>
  );
}
