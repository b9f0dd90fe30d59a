// The quiet sign of a study's proof; a click says what exactly was checked.
import { Anchor, Group, Loader, Popover, Stack, Text, UnstyledButton } from "@mantine/core";
import { IconAlertTriangle, IconCircleCheck, IconClock, IconMinus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { askJson } from "../api";
import { momentText } from "../dicom";
import { texts } from "../texts";
import type { Proof } from "./preview";
import type { StudyRecord } from "./record";
import { Failure } from "./states";

const t = texts.proof;

export function proofWords(proof?: Proof): string {
  if (!proof) return t.unknown;
  if (proof.damaged) return t.damaged;
  if (proof.state === "settled") return t.settled;
  return proof.state === "failed" || proof.state === "incident" ? t.failed : t.waiting;
}

function Sign({ proof }: { proof?: Proof }) {
  if (!proof) return <IconMinus size={18} className="dimmed" aria-hidden />;
  if (proof.damaged || proof.state === "failed" || proof.state === "incident") return <IconAlertTriangle size={18} color="var(--mantine-color-red-6)" aria-hidden />;
  if (proof.state === "settled") return <IconCircleCheck size={18} color="var(--mantine-color-teal-6)" aria-hidden />;
  return <IconClock size={18} color="var(--mantine-color-yellow-7)" aria-hidden />;
}

export function ProofDetails({ study, proof }: { study: string; proof?: Proof }) {
  const record = useQuery({ queryKey: ["record", study], queryFn: () => askJson<StudyRecord>(`/studies/${study}/record`) });
  if (record.isPending) return <Loader size="sm" />;
  if (record.isError) return <Failure problem={record.error} />;
  const version = record.data.versions.at(-1);
  if (!version) return <Text size="sm">{t.unknown}</Text>;
  const settled = version.state === "settled";
  return (
    <Stack gap={6}>
      <Text fw={600} size="sm" c={proof?.damaged ? "var(--mantine-color-error)" : undefined}>
        {proof?.damaged ? t.damaged : !settled ? t.notYet : proof ? t.unchangedSince(momentText(version.made)) : t.anchored(momentText(version.made))}
      </Text>
      {!proof?.damaged && <Text size="sm">{proof ? t.checked : proofWords(proof)}</Text>}
      <Text size="sm">
        {t.version} {version.version}: {t.states[version.state ?? "stored"] ?? version.state}
        {version.block ? `, ${t.block.toLowerCase()} ${version.block}` : ""}
        {version.problem ? `: ${version.problem}` : ""}
      </Text>
      <Text size="xs" className="dimmed">
        {t.record}
      </Text>
      <span className="mono">{version.record}</span>
      <Text size="xs" className="dimmed">
        {t.bundle}
      </Text>
      <Anchor size="sm" href={`/studies/${study}/evidence`} download={`${study}.evidence.json`}>
        {texts.study.evidence}
      </Anchor>
    </Stack>
  );
}

export function ProofMark({ study, proof, pending }: { study: string; proof?: Proof; pending: boolean }) {
  const words = pending ? t.checking : proofWords(proof);
  return (
    <Popover width={340} position="left" withArrow shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <UnstyledButton aria-label={words} title={words}>
          <Group justify="center" w={28} h={28}>
            {pending ? <Loader size={14} color="gray" /> : <Sign proof={proof} />}
          </Group>
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <ProofDetails study={study} proof={proof} />
      </Popover.Dropdown>
    </Popover>
  );
}
