import { ActionIcon, CopyButton, Group } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { texts } from "../texts";

/** Something to be taken away: shown, and copied by a click. */
export function CopyLine({ value }: { value: string }) {
  return (
    <Group gap="xs" wrap="nowrap">
      <span className="mono">{value}</span>
      <CopyButton value={value}>
        {({ copied, copy }) => (
          <ActionIcon variant="default" onClick={copy} aria-label={copied ? texts.copied : texts.copy} title={copied ? texts.copied : texts.copy}>
            {copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
          </ActionIcon>
        )}
      </CopyButton>
    </Group>
  );
}
