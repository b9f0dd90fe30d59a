import { Badge, Button, Group, Stack, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { askJson, send } from "../api";
import { momentText } from "../dicom";
import { Empty, Failure, Heading, Loading } from "../parts/states";
import { texts } from "../texts";

const t = texts.account.inbox;

interface Messages {
  messages: { id: string | number; at: string; kind: string; text: string; read: boolean }[];
  unread: number;
}

export default function InboxPage() {
  const queries = useQueryClient();
  const asked = useQuery({ queryKey: ["messages"], queryFn: () => askJson<Messages>("/account/messages") });
  const readAll = useMutation({
    mutationFn: () => send("POST", "/account/messages/read", { all: true }),
    onSuccess: () => Promise.all([queries.invalidateQueries({ queryKey: ["messages"] }), queries.invalidateQueries({ queryKey: ["session"] })]),
  });
  if (asked.isPending) return <Loading />;
  if (asked.isError) return <Failure problem={asked.error} again={() => void asked.refetch()} />;
  const { messages, unread } = asked.data;
  return (
    <>
      <Heading title={t.title}>
        {unread > 0 && (
          <Button size="xs" variant="default" loading={readAll.isPending} onClick={() => readAll.mutate()}>
            {t.readAll}
          </Button>
        )}
      </Heading>
      {messages.length === 0 && <Empty title={t.none} text={t.noneText} />}
      <Stack gap="sm" maw={760}>
        {messages.map((message) => (
          <Group key={message.id} gap="sm" wrap="nowrap" align="baseline">
            <Text size="xs" className="date dimmed">
              {momentText(message.at)}
            </Text>
            <Badge variant="light" color={message.read ? "gray" : "teal"} tt="none" miw={90}>
              {message.kind}
            </Badge>
            <Text size="sm" fw={message.read ? 400 : 600}>
              <bdi>{message.text}</bdi>
            </Text>
          </Group>
        ))}
      </Stack>
    </>
  );
}
