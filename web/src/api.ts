// How the archive is asked: problems in its words (RFC 9457), the log-in where there is no session.

/** What went wrong, as the archive says it. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly requestId = "",
  ) {
    super(detail);
  }
}

let afterAnswer = () => {};
/** Called after each answer that a session got: it is idle from here on. */
export function onAnswer(callback: () => void) {
  afterAnswer = callback;
}

function toLogIn(): Promise<never> {
  location.replace("/login?then=" + encodeURIComponent(location.pathname + location.search));
  return new Promise(() => {}); // nothing goes on here
}

export async function problemOf(answer: Response, otherwise: (status: number) => string): Promise<Problem> {
  const said = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string; title?: string; requestId?: string };
  return new Problem(answer.status, said.code ?? "", said.detail ?? said.title ?? otherwise(answer.status), said.requestId);
}

export interface Asking {
  method?: string;
  accept?: string;
  body?: BodyInit;
  type?: string;
  purpose?: string;
  signal?: AbortSignal;
}

/** Asks the archive. Throws: Problem; TypeError where it cannot be reached. */
export async function ask(path: string, { method = "GET", accept = "application/json", body, type, purpose, signal }: Asking = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: accept };
  if (type) headers["Content-Type"] = type;
  if (purpose) headers["Fiducial-Purpose"] = purpose;
  const answer = await fetch(path, { method, headers, body: body ?? null, signal: signal ?? null });
  if (answer.status === 401) return toLogIn();
  afterAnswer();
  if (!answer.ok) throw await problemOf(answer, (status) => `${status}`);
  return answer;
}

/** The same, for JSON; nothing (204) is undefined. */
export async function askJson<T>(path: string, asking: Asking = {}): Promise<T> {
  const answer = await ask(path, asking);
  const written = await answer.text();
  return (written === "" ? undefined : JSON.parse(written)) as T;
}

/** A change as JSON: what most of the archive's own routes take. */
export function send<T>(method: "POST" | "PUT", path: string, body: object, asking: Asking = {}): Promise<T> {
  return askJson<T>(path, { ...asking, method, type: "application/json", body: JSON.stringify(body) });
}

/** What is asked without a session: 401 is an answer here. */
export async function sendAnonymously<T>(path: string, body: object): Promise<T> {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw await problemOf(answer, (status) => `${status}`);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export const administering = { purpose: "administration" } as const;
