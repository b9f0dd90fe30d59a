// What the archive tells of its trace (docs/reference/http.md#the-trace).
export interface TraceEntry {
  index: number;
  time: string;
  who: string;
  from: string;
  action: string;
  purpose: string;
  allowed: boolean;
  reason: string;
  result: string;
  patientId?: string;
  studyInstanceUid?: string;
  object?: string;
  block: number;
  flags: number;
  words: string;
}

export interface FoundEntries {
  entries: TraceEntry[];
  size: number;
  before?: number;
}

export interface Emergency {
  id: number;
  person: string;
  from: string;
  until: string;
  reason: string;
  text: string;
  patientId?: string;
  studyInstanceUid: string;
  anchored: boolean;
  block?: number;
  state?: string;
  problem?: string;
}

export interface EntryProof {
  proof: string;
  key: string;
  size: number;
  notCompared?: string;
  ledger?: {
    size: number;
    covers: boolean;
    time?: string;
    leafHash?: string;
    path?: string[];
    root?: string;
    contract?: `0x${string}`;
    institution?: `0x${string}`;
    origin?: `0x${string}`;
  };
}

export interface Look {
  index: number;
  time: string;
  who: string;
  action: string;
  purpose: string;
  allowed: boolean;
  reason: string;
  result: string;
  emergency: boolean;
}
