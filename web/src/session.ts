// Who is logged in, and that the page notices when that has ended.
import { useQuery } from "@tanstack/react-query";
import { createContext, useContext, useEffect } from "react";
import { askJson, onAnswer } from "./api";

export interface Session {
  person: string;
  purpose: string;
  idleSeconds: number;
  viewer: boolean;
  personId?: string;
  email?: string;
  roles?: string[];
  unread?: number;
  demo?: boolean;
}

export const SessionContext = createContext<Session | undefined>(undefined);

/** Requires: below the shell, which is shown to those who are logged in. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("there is no session here");
  return session;
}

export function useAskSession() {
  const asked = useQuery({ queryKey: ["session"], queryFn: () => askJson<Session>("/session"), staleTime: Infinity });
  const idle = asked.data?.idleSeconds;
  useEffect(() => {
    if (!idle) return;
    let timer = 0;
    const again = () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => void askJson("/session"), (idle + 1) * 1000); // an ended one leads to the log-in
    };
    again();
    onAnswer(again);
    return () => {
      clearTimeout(timer);
      onAnswer(() => {});
    };
  }, [idle]);
  return asked;
}

/** Whether the person is here for the trace alone: no images are theirs to see. */
export function onlyWatches(session: Session): boolean {
  return session.roles !== undefined && session.roles.length > 0 && session.roles.every((role) => role === "auditor" || role === "privacy-officer");
}

/** Whether the person has one of the roles; yes where the archive does not say which there are: it decides again itself. */
export function hasRole(session: Session, ...roles: string[]): boolean {
  return !session.roles || session.roles.some((role) => roles.includes(role));
}
