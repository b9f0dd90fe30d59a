import { Switch, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { askJson } from "../api";
import { dateText, nameText, timeText } from "../dicom";
import { Columns } from "../parts/columns";
import { Empty, Failure, Heading, Loading } from "../parts/states";
import { texts } from "../texts";

const t = texts.worklist;
type Entry = Record<string, string | undefined>;

export default function WorklistPage() {
  const [all, setAll] = useState(false);
  const asked = useQuery({ queryKey: ["worklist", all], queryFn: () => askJson<Entry[] | { entries: Entry[] }>(`/worklist${all ? "?all=true" : ""}`), refetchInterval: 30_000 });
  const entries = Array.isArray(asked.data) ? asked.data : (asked.data?.entries ?? []);
  return (
    <>
      <Heading title={t.title}>
        <Switch label={t.all} checked={all} onChange={(event) => setAll(event.currentTarget.checked)} />
      </Heading>
      {asked.isPending && <Loading />}
      {asked.isError && <Failure problem={asked.error} again={() => void asked.refetch()} />}
      {asked.isSuccess && entries.length === 0 && <Empty title={t.none} text={t.noneText} />}
      {entries.length > 0 && (
        <div className="wide">
          <Table highlightOnHover aria-label={t.title}>
            <Columns names={[t.when, t.patient, t.procedure, t.modality, t.station, t.accession, t.state]} />
            <Table.Tbody>
              {entries.map((entry) => (
                <Table.Tr key={`${entry.AccessionNumber} ${entry.ScheduledProcedureStepID}`}>
                  <Table.Td className="date">
                    {dateText(entry.ScheduledProcedureStepStartDate ?? "")} {timeText(entry.ScheduledProcedureStepStartTime ?? "")}
                  </Table.Td>
                  <Table.Td>
                    <bdi>{nameText((entry.PatientName ?? "").split("=")[0] ?? "")}</bdi>
                    <Text size="xs" className="dimmed">
                      {entry.PatientID}
                    </Text>
                  </Table.Td>
                  <Table.Td>
                    <bdi>{entry.ScheduledProcedureStepDescription || entry.RequestedProcedureDescription}</bdi>
                  </Table.Td>
                  <Table.Td>{entry.Modality}</Table.Td>
                  <Table.Td>{entry.ScheduledStationAETitle}</Table.Td>
                  <Table.Td>{entry.AccessionNumber}</Table.Td>
                  <Table.Td>{entry.state}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </>
  );
}
