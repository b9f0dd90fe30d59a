// The head of a table.
import { Table } from "@mantine/core";

/** actions: one more column without a name, for what can be done with a row. */
export function Columns({ names, actions = false }: { names: string[]; actions?: boolean }) {
  return (
    <Table.Thead>
      <Table.Tr>
        {names.map((name) => (
          <Table.Th key={name} scope="col">
            {name}
          </Table.Th>
        ))}
        {actions && <Table.Td />}
      </Table.Tr>
    </Table.Thead>
  );
}
