// Who works here: who waits to be activated stands on top.
import { Badge, Button, Checkbox, Group, Modal, SimpleGrid, Stack, Table, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconUserPlus } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { administering, askJson, send } from "../api";
import { momentText } from "../dicom";
import { Columns } from "../parts/columns";
import { CopyLine } from "../parts/copy_line";
import { say } from "../parts/say";
import { Empty, Failure, Heading, Loading } from "../parts/states";
import { texts } from "../texts";

const t = texts.people;
const givable = ["doctor", "technologist", "desk", "privacy-officer", "auditor", "security-officer", "researcher", "administrator"];
const colours: Record<string, string> = { waiting: "yellow", invited: "blue", active: "teal", inactive: "gray", refused: "red" };
const rolesText = (roles: string[]) => roles.map((role) => t.roleNames[role] ?? role).join(", ");

interface Person {
  id: string;
  name: string;
  email?: string;
  roles: string[];
  roleAsked?: string;
  state: string;
  secondFactor?: boolean;
  emailConfirmed?: boolean;
  since?: string;
}
interface Link {
  link: string;
  expires: string;
}

function RoleBoxes({ value, onChange }: { value: string[]; onChange: (roles: string[]) => void }) {
  return (
    <Checkbox.Group label={t.roles} value={value} onChange={onChange}>
      <SimpleGrid cols={2} spacing={6} mt={4}>
        {givable.map((role) => (
          <Checkbox key={role} value={role} label={t.roleNames[role]} size="sm" />
        ))}
      </SimpleGrid>
    </Checkbox.Group>
  );
}

function Activate({ person, onDone, close }: { person: Person; onDone: () => void; close: () => void }) {
  const [roles, setRoles] = useState(person.roles.length > 0 ? person.roles : person.roleAsked ? [person.roleAsked] : []);
  const activate = useMutation({
    mutationFn: () => send("POST", "/people/activate", { id: person.id, roles }, administering),
    onSuccess: () => {
      say(t.activated(person.name));
      onDone();
      close();
    },
  });
  return (
    <Modal opened onClose={close} title={t.activateOf(person.name)} closeButtonProps={{ "aria-label": texts.close }}>
      <Stack gap="md">
        {person.email && (
          <Text size="sm">
            {person.email}
            {person.roleAsked && `, ${t.asked(t.roleNames[person.roleAsked] ?? person.roleAsked)}`}
          </Text>
        )}
        <RoleBoxes value={roles} onChange={setRoles} />
        {activate.isError && <Failure problem={activate.error} />}
        <Button loading={activate.isPending} disabled={roles.length === 0} onClick={() => activate.mutate()}>
          {t.activate}
        </Button>
      </Stack>
    </Modal>
  );
}

function Invite({ onDone, close }: { onDone: () => void; close: () => void }) {
  const [roles, setRoles] = useState<string[]>([]);
  const invite = useMutation({
    mutationFn: (form: FormData) => {
      const [name, email] = [String(form.get("name")), String(form.get("email"))];
      return send<Link>("POST", "/people/invite", { roles, ...(name && { name }), ...(email && { email }) }, administering);
    },
    onSuccess: onDone,
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    invite.mutate(new FormData(event.currentTarget));
  };
  return (
    <Modal opened onClose={close} title={t.inviteTitle} closeButtonProps={{ "aria-label": texts.close }}>
      {invite.data ? (
        <LinkToSend made={invite.data} />
      ) : (
        <form onSubmit={submit}>
          <Stack gap="md">
            <TextInput label={t.name} name="name" dir="auto" />
            <TextInput label={t.email} name="email" type="email" />
            <RoleBoxes value={roles} onChange={setRoles} />
            {invite.isError && <Failure problem={invite.error} />}
            <Button type="submit" loading={invite.isPending} disabled={roles.length === 0}>
              {t.makeLink}
            </Button>
          </Stack>
        </form>
      )}
    </Modal>
  );
}

function LinkToSend({ made }: { made: Link }) {
  return (
    <Stack gap="sm">
      <Text size="sm">
        {t.link} {momentText(made.expires)}.
      </Text>
      <CopyLine value={made.link} />
    </Stack>
  );
}

export default function PeoplePage() {
  const queries = useQueryClient();
  const [activating, setActivating] = useState<Person>();
  const [inviting, { open, close }] = useDisclosure();
  const [made, setMade] = useState<Link>();
  const asked = useQuery({ queryKey: ["people"], queryFn: () => askJson<{ people: Person[] }>("/people", administering) });
  const refresh = () => void queries.invalidateQueries({ queryKey: ["people"] });
  const act = useMutation({
    mutationFn: ({ person, what }: { person: Person; what: "refuse" | "deactivate" }) => send("POST", `/people/${what}`, { id: person.id }, administering),
    onSuccess: (_, { person, what }) => {
      say(
        <Group gap="sm">
          {what === "refuse" ? t.refused(person.name) : t.deactivated(person.name)}
          {what === "deactivate" && (
            <Button size="compact-xs" variant="default" onClick={() => setActivating(person)}>
              {texts.peers.undo}
            </Button>
          )}
        </Group>,
        { seconds: 15 },
      );
      refresh();
    },
    onError: (problem) => say(problem.message, { wrong: true }),
  });
  const link = useMutation({
    mutationFn: (person: Person) => send<Link>("POST", "/people/password-link", { id: person.id }, administering),
    onSuccess: setMade,
    onError: (problem) => say(problem.message, { wrong: true }),
  });
  if (asked.isPending) return <Loading />;
  if (asked.isError) return <Failure problem={asked.error} again={() => void asked.refetch()} />;
  const order = (person: Person) => (person.state === "waiting" ? 0 : 1);
  const people = [...asked.data.people].sort((one, other) => order(one) - order(other));
  const waiting = people.filter((person) => person.state === "waiting").length;
  return (
    <>
      <Heading title={t.title}>
        <Group gap="sm">
          {waiting > 0 && (
            <Badge color="yellow" variant="light" tt="none">
              {t.waits(waiting)}
            </Badge>
          )}
          <Button size="xs" leftSection={<IconUserPlus size={16} />} onClick={open}>
            {t.invite}
          </Button>
        </Group>
      </Heading>
      {people.length === 0 && <Empty title={t.none} text={t.noneText} />}
      <div className="wide">
        <Table highlightOnHover aria-label={t.title}>
          <Columns names={[t.name, t.roles, t.state, t.since, t.factor]} actions />
          <Table.Tbody>
            {people.map((person) => (
              <Table.Tr key={person.id}>
                <Table.Td>
                  <bdi>{person.name}</bdi>
                  <Text size="xs" className="dimmed">
                    {person.email}
                    {person.emailConfirmed !== undefined && `, ${person.emailConfirmed ? t.confirmed : t.notConfirmed}`}
                  </Text>
                </Table.Td>
                <Table.Td>{person.roleAsked && person.roles.length === 0 ? t.asked(t.roleNames[person.roleAsked] ?? person.roleAsked) : rolesText(person.roles)}</Table.Td>
                <Table.Td>
                  <Badge variant="light" color={colours[person.state] ?? "gray"} tt="none">
                    {t.states[person.state] ?? person.state}
                  </Badge>
                </Table.Td>
                <Table.Td className="date">{person.since ? momentText(person.since) : ""}</Table.Td>
                <Table.Td>{person.secondFactor === undefined ? "" : person.secondFactor ? t.yes : t.no}</Table.Td>
                <Table.Td>
                  <Group gap="xs" justify="end" wrap="nowrap">
                    {["waiting", "inactive", "refused"].includes(person.state) && (
                      <Button size="compact-xs" variant="light" onClick={() => setActivating(person)} aria-label={t.activateOf(person.name)}>
                        {t.activate}
                      </Button>
                    )}
                    {person.state === "waiting" && (
                      <Button size="compact-xs" variant="default" onClick={() => act.mutate({ person, what: "refuse" })}>
                        {t.refuse}
                      </Button>
                    )}
                    {person.state === "active" && person.email && (
                      <Button size="compact-xs" variant="default" onClick={() => link.mutate(person)} aria-label={t.passwordLinkOf(person.name)}>
                        {t.passwordLink}
                      </Button>
                    )}
                    {person.state === "active" && (
                      <Button size="compact-xs" variant="default" onClick={() => act.mutate({ person, what: "deactivate" })} aria-label={t.deactivateOf(person.name)}>
                        {t.deactivate}
                      </Button>
                    )}
                  </Group>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
      {activating && <Activate person={activating} onDone={refresh} close={() => setActivating(undefined)} />}
      {inviting && <Invite onDone={refresh} close={close} />}
      {made && (
        <Modal opened onClose={() => setMade(undefined)} title={t.passwordLink} closeButtonProps={{ "aria-label": texts.close }}>
          <LinkToSend made={made} />
        </Modal>
      )}
    </>
  );
}
