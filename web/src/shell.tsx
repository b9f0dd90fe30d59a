// The frame around every page: where one can go, who one is, light or dark.
import { ActionIcon, AppShell, Badge, Burger, Button, Group, Indicator, NavLink, Text, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconActivityHeartbeat, IconBell, IconCalendarTime, IconEyeSearch, IconLink, IconListCheck, IconLogout, IconMoon, IconPhoto, IconPlugConnected, IconSun, IconUpload, IconUsers } from "@tabler/icons-react";
import { type ReactNode, useEffect } from "react";
import { Link, useLocation } from "wouter";
import { Failure, Loading } from "./parts/states";
import { type Session, SessionContext, hasRole, onlyWatches, useAskSession } from "./session";
import { texts } from "./texts";

const t = texts.nav;
const places = [
  { path: "/", label: t.studies, icon: IconPhoto, roles: undefined },
  { path: "/app/upload", label: t.upload, icon: IconUpload, roles: ["technologist", "desk", "doctor"] },
  { path: "/app/worklist", label: t.worklist, icon: IconCalendarTime, roles: ["technologist", "desk", "doctor"] },
  { path: "/app/trace", label: t.trace, icon: IconEyeSearch, roles: ["auditor", "privacy-officer", "custodian"] },
  { path: "/app/people", label: t.people, icon: IconUsers, roles: ["administrator"] },
  { path: "/app/peers", label: t.peers, icon: IconPlugConnected, roles: ["administrator"] },
  { path: "/app/queues", label: t.queues, icon: IconListCheck, roles: ["administrator"] },
  { path: "/app/health", label: t.health, icon: IconActivityHeartbeat, roles: ["administrator"] },
  { path: "/app/ledger", label: t.ledger, icon: IconLink, roles: undefined },
];

export async function logOut() {
  await fetch("/session", { method: "DELETE" });
  location.replace("/login");
}

function SchemeButton() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme("light", { getInitialValueInEffect: false });
  return (
    <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t.scheme} title={t.scheme} onClick={() => setColorScheme(scheme === "dark" ? "light" : "dark")}>
      {scheme === "dark" ? <IconSun size={18} /> : <IconMoon size={18} />}
    </ActionIcon>
  );
}

function Header({ session, opened, toggle }: { session: Session; opened: boolean; toggle: () => void }) {
  return (
    <Group h="100%" px="md" justify="space-between" wrap="nowrap">
      <Group gap="sm" wrap="nowrap">
        <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t.open} />
        <Link href="/" className="strong-link">
          <Text span fw={700} size="lg">
            {texts.product}
          </Text>
        </Link>
        {session.purpose !== "treatment" && (
          <Badge variant="light" color="gray" tt="none">
            {texts.studies.purpose(session.purpose)}
          </Badge>
        )}
      </Group>
      <Group gap="xs" wrap="nowrap">
        <Indicator label={session.unread} size={16} disabled={!session.unread} color="red.9">
          <ActionIcon component={Link} href="/app/inbox" variant="subtle" color="gray" size="lg" aria-label={session.unread ? texts.account.inbox.unread(session.unread) : t.inbox} title={t.inbox}>
            <IconBell size={18} />
          </ActionIcon>
        </Indicator>
        <Button component={Link} href="/app/account" variant="subtle" color="gray" size="compact-sm" title={t.account}>
          <bdi>{session.person}</bdi>
        </Button>
        <SchemeButton />
        <Button variant="subtle" color="gray" size="compact-sm" leftSection={<IconLogout size={16} />} onClick={() => void logOut()}>
          {session.demo ? texts.demo.change : t.logOut}
        </Button>
      </Group>
    </Group>
  );
}

export function Shell({ children }: { children: ReactNode }) {
  const session = useAskSession();
  const [location] = useLocation();
  const [opened, { toggle, close }] = useDisclosure();
  useEffect(close, [location, close]);
  if (session.isPending) return <Loading />;
  if (session.isError) return <Failure problem={session.error} again={() => void session.refetch()} />;
  const allowed = places.filter((place) => (place.path === "/" ? !onlyWatches(session.data) : !place.roles || hasRole(session.data, ...place.roles)));
  return (
    <SessionContext.Provider value={session.data}>
      <a className="skip" href="#main">
        {texts.skip}
      </a>
      <AppShell header={{ height: 48 }} navbar={{ width: 190, breakpoint: "sm", collapsed: { mobile: !opened } }} padding="md">
        <AppShell.Header>
          <Header session={session.data} opened={opened} toggle={toggle} />
        </AppShell.Header>
        <AppShell.Navbar p="xs" aria-label={t.label}>
          {allowed.map(({ path, label, icon: Icon }) => {
            const active = path === "/" ? location === "/" || location.startsWith("/app/studies") : location.startsWith(path);
            return (
              <NavLink key={path} component={Link} href={path} label={label} active={active} aria-current={active ? "page" : undefined} leftSection={<Icon size={18} aria-hidden />} />
            );
          })}
        </AppShell.Navbar>
        <AppShell.Main id="main" tabIndex={-1}>
          {session.data.demo && (
            <p className="ribbon">
              {texts.demo.ribbon}
            </p>
          )}
          {children}
        </AppShell.Main>
      </AppShell>
    </SessionContext.Provider>
  );
}
