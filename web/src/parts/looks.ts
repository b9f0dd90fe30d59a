// Who looked at a study, for those whose office or whose own it is to know.
import { useQuery } from "@tanstack/react-query";
import { administering, askJson } from "../api";
import { hasRole, useSession } from "../session";
import type { Look } from "./trace";

/** Looks of one person, of one kind, on one day. */
export interface LooksOfOne extends Look {
  times: number;
  last: string;
}

export function together(looks: Look[]): LooksOfOne[] {
  const groups = new Map<string, LooksOfOne>();
  for (const look of looks) {
    const kind = [look.time.slice(0, 10), look.who, look.action, look.purpose, look.allowed, look.reason, look.emergency].join("|");
    const group = groups.get(kind);
    if (group) Object.assign(group, { times: group.times + 1, last: look.time });
    else groups.set(kind, { ...look, times: 1, last: look.time });
  }
  return [...groups.values()];
}

export function useLooks(study: string): { looks: LooksOfOne[]; more: boolean; problem: unknown } {
  const session = useSession();
  const office = session.roles?.some((role) => ["auditor", "privacy-officer", "custodian"].includes(role)) ?? false;
  const asked = useQuery({
    queryKey: ["looks", study],
    queryFn: () => askJson<{ looks: Look[]; more: boolean }>(`/studies/${study}/looks`, office ? administering : {}),
    enabled: session.roles !== undefined && hasRole(session, "auditor", "privacy-officer", "custodian", "patient"),
  });
  return { looks: together(asked.data?.looks ?? []), more: asked.data?.more ?? false, problem: asked.isError ? asked.error : null };
}
