import { Paper, Stack, Text, Title } from "@mantine/core";
import { type ReactNode, useEffect } from "react";
import { texts } from "../texts";

/** The frame of the pages before one is in. */
export function Entry({ title, text, children }: { title: string; text?: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} – ${texts.product}`;
  }, [title]);
  return (
    <main className="log-in">
      <Paper className="panel" withBorder p="xl" radius="md">
        <Stack gap="md">
          <div>
            <Text size="xs" fw={700} className="dimmed">
              {texts.product}
            </Text>
            <Title order={1}>{title}</Title>
            {text && (
              <Text size="sm" className="dimmed">
                {text}
              </Text>
            )}
          </div>
          {children}
        </Stack>
      </Paper>
    </main>
  );
}
