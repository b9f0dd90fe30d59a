// In an emergency: a doctor says why, and may look for an hour (docs/reference/http.md).
import { Button, Modal, NativeSelect, Stack, Text, Textarea } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconHammer } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { askJson } from "../api";
import { momentText } from "../dicom";
import { hasRole, useSession } from "../session";
import { texts } from "../texts";
import { say } from "./say";
import { Failure } from "./states";

const t = texts.emergency;

export function BreakGlass({ study, onOpened }: { study: string; onOpened: () => void }) {
  const session = useSession();
  const [asked, { open, close }] = useDisclosure();
  const [reason, setReason] = useState("life-threatening");
  const [words, setWords] = useState("");
  const breaking = useMutation({
    mutationFn: () => askJson<{ until: string; nodeAway: boolean }>(`/studies/${study}/emergency`, { method: "POST", type: "application/json", body: JSON.stringify({ reason, text: words }) }),
    onSuccess: ({ until, nodeAway }) => {
      say(`${t.opened(momentText(until))}${nodeAway ? ` ${t.nodeAway}` : ""}`, { seconds: 15 });
      close();
      onOpened();
    },
  });
  if (!hasRole(session, "doctor")) return null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    breaking.mutate();
  };
  return (
    <>
      <Button color="red" variant="light" leftSection={<IconHammer size={16} />} onClick={open}>
        {texts.denied.breakGlass}
      </Button>
      <Modal opened={asked} onClose={close} title={t.title} closeButtonProps={{ "aria-label": texts.close }}>
        <form onSubmit={submit}>
          <Stack gap="sm">
            <Text size="sm">{t.text}</Text>
            <NativeSelect label={t.reason} value={reason} onChange={(event) => setReason(event.currentTarget.value)} data={Object.entries(t.reasons).map(([value, label]) => ({ value, label }))} />
            <Textarea label={t.words} description={t.wordsHint} required maxLength={300} value={words} onChange={(event) => setWords(event.currentTarget.value)} autosize minRows={2} />
            {breaking.isError && <Failure problem={breaking.error} />}
            <Button type="submit" color="red" loading={breaking.isPending}>
              {t.open}
            </Button>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
