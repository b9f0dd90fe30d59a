// A small picture and, from the same answer, how far the ledger vouches for what it was made of (docs/reference/http.md).
import { useQuery } from "@tanstack/react-query";
import { Problem, ask } from "../api";

export interface Proof {
  version: number;
  state: string;
  block?: number;
  damaged?: boolean;
}

/** "version=3, state=settled, block=48211, complete" (RFC 8941 §3.2). */
export function parseProof(header: string | null): Proof | undefined {
  if (!header) return undefined;
  const members = new Map(header.split(",").map((member) => member.trim().split("=", 2) as [string, string | undefined]));
  const state = members.get("state");
  if (!state) return undefined;
  return { version: Number(members.get("version") ?? 0), state, block: members.has("block") ? Number(members.get("block")) : undefined };
}

export interface Preview {
  url?: string;
  proof?: Proof;
  /** Why this person may not see it. */
  denied?: Problem;
}

async function fetchPreview(path: string, signal: AbortSignal): Promise<Preview> {
  try {
    const answer = await ask(`${path}/thumbnail`, { accept: "image/jpeg", signal });
    const proof = parseProof(answer.headers.get("Fiducial-Evidence"));
    return { url: URL.createObjectURL(await answer.blob()), proof };
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.code === "corrupt") return { proof: { version: 0, state: "damaged", damaged: true } };
    if (problem.status === 403) return { denied: problem };
    if (problem.status === 404 || problem.status === 406) return {}; // nothing that could be drawn
    throw problem;
  }
}

/** wanted: once it is in view. */
export function usePreview(path: string, wanted = true) {
  return useQuery({ queryKey: ["preview", path], queryFn: ({ signal }) => fetchPreview(path, signal), enabled: wanted, staleTime: Infinity, gcTime: Infinity });
}
