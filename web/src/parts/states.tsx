// What a page shows while it waits, when something failed, and where there is nothing yet: each says what to do next.
import { Alert, Button, Center, Group, Loader, Stack, Text, Title } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { type ReactNode, useEffect } from "react";
import { Problem } from "../api";
import { texts } from "../texts";

export function Loading() {
  return (
    <Center mih={160} role="status" aria-live="polite">
      <Group gap="sm">
        <Loader size="sm" />
        <Text size="sm">{texts.loading}</Text>
      </Group>
    </Center>
  );
}

export function problemText(problem: unknown): string {
  if (problem instanceof Problem) return /^\d+$/.test(problem.message) ? texts.problem.unexpected(problem.status) : problem.message;
  if (problem instanceof TypeError) return texts.problem.unreachable;
  return problem instanceof Error ? problem.message : String(problem);
}

export function Failure({ problem, again, title = texts.problem.title, children }: { problem: unknown; again?: () => void; title?: string; children?: ReactNode }) {
  const id = problem instanceof Problem ? problem.requestId : "";
  return (
    <Alert role="alert" color="red" variant="light" icon={<IconAlertTriangle />} title={title} my="md" maw={720}>
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{problemText(problem)}</Text>
        {children}
        <Group gap="sm">
          {again && (
            <Button size="compact-sm" variant="default" onClick={again}>
              {texts.retry}
            </Button>
          )}
          {id && <span className="mono dimmed">{texts.problem.request(id)}</span>}
        </Group>
      </Stack>
    </Alert>
  );
}

export function Empty({ title, text, children }: { title: string; text?: string; children?: ReactNode }) {
  return (
    <Center mih={200} role="status">
      <Stack align="center" gap="xs" maw={460}>
        <Text fw={600}>{title}</Text>
        {text && (
          <Text size="sm" className="dimmed" ta="center">
            {text}
          </Text>
        )}
        {children}
      </Stack>
    </Center>
  );
}

/** A page's heading, which is the window's title, too. */
export function Heading({ title, children }: { title: string; children?: ReactNode }) {
  useEffect(() => {
    document.title = `${title} – ${texts.product}`;
  }, [title]);
  return (
    <Group justify="space-between" align="center" mb="sm" gap="sm">
      <Title order={1}>
        <bdi>{title}</bdi>
      </Title>
      {children}
    </Group>
  );
}
