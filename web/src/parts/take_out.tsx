// What is wrong in a study is taken out of it, with a reason, and put back again; the stored bytes stay (docs/reference/http.md#corrections).
import { ActionIcon, Button, Group, Modal, NativeSelect, Stack, Text, Textarea } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconTrash } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { askJson, send } from "../api";
import { hasRole, useSession } from "../session";
import { texts } from "../texts";
import { say } from "./say";
import { Failure, problemText } from "./states";

const t = texts.takeOut;

/** Puts back what was taken out of a study, a series or an instance. */
export function usePutBack() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (path: string) => send("POST", `${path}/put-back`, { text: t.putBackReason }),
    onSuccess: () => {
      say(t.isBack);
      void queries.invalidateQueries();
    },
    onError: (problem) => say(problemText(problem), { wrong: true }),
  });
}

export function TakeOut({ path, what }: { path: string; what: string }) {
  const session = useSession();
  const queries = useQueryClient();
  const putBack = usePutBack();
  const [asked, { open, close }] = useDisclosure();
  const [reason, setReason] = useState("quality");
  const [words, setWords] = useState("");
  const taking = useMutation({
    mutationFn: () => askJson(path, { method: "DELETE", type: "application/json", body: JSON.stringify({ reason, text: words }) }),
    onSuccess: () => {
      close();
      say(
        <Group gap="sm">
          {t.isOut(what)}
          <Button size="compact-xs" variant="default" onClick={() => putBack.mutate(path)}>
            {texts.peers.undo}
          </Button>
        </Group>,
        { seconds: 15 },
      );
      void queries.invalidateQueries();
    },
  });
  if (!hasRole(session, "technologist", "custodian")) return null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    taking.mutate();
  };
  return (
    <>
      <ActionIcon variant="subtle" color="gray" size="sm" aria-label={t.button(what)} title={t.button(what)} onClick={open}>
        <IconTrash size={14} />
      </ActionIcon>
      <Modal opened={asked} onClose={close} title={t.button(what)} closeButtonProps={{ "aria-label": texts.close }}>
        <form onSubmit={submit}>
          <Stack gap="sm">
            <Text size="sm">{t.text}</Text>
            <NativeSelect label={texts.emergency.reason} value={reason} onChange={(event) => setReason(event.currentTarget.value)} data={Object.entries(t.reasons).map(([value, label]) => ({ value, label }))} />
            <Textarea label={texts.emergency.words} description={texts.emergency.wordsHint} required maxLength={300} value={words} onChange={(event) => setWords(event.currentTarget.value)} autosize minRows={2} />
            {taking.isError && <Failure problem={taking.error} />}
            <Button type="submit" loading={taking.isPending}>
              {t.confirm}
            </Button>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
