// QIDO-RS (PS3.18 §10.6): what is asked for, page by page.
import { ask } from "../api";
import type { DataSet } from "../dicom";

export const pageSize = 50;

export interface Page {
  sets: DataSet[];
  more: boolean;
}

export async function search(path: string, keys: URLSearchParams, signal?: AbortSignal): Promise<Page> {
  const answer = await ask(`${path}?${keys}`, { accept: "application/dicom+json", signal });
  const sets = answer.status === 204 ? [] : ((await answer.json()) as DataSet[]);
  return { sets, more: (answer.headers.get("Warning") ?? "").includes("additional results") };
}
