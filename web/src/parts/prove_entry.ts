// That an entry of the trace stands in the checkpoint on the chain: computed here in the browser from the entry's own bytes, and held against what the contract says.
import { askJson, administering } from "../api";
import type { EntryProof } from "./trace";

export interface ProvedEntry {
  proof: EntryProof;
  /** Whether the entry gives the root that the ledger holds; undefined: the ledger does not cover it yet, or was not reached. */
  holds?: boolean;
}

function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.replace(/^0x/, "").match(/../g) ?? [], (two) => parseInt(two, 16));
}

async function sha256(...parts: Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer()));
}

/** The root of a tree of `size` leaves over one of them and its siblings, lowest first (RFC 9162 §2.1.3.2). */
export async function rootFrom(leaf: Uint8Array<ArrayBuffer>, index: number, size: number, path: Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const one = Uint8Array.of(1);
  let [node, at, last] = [leaf, index, size - 1];
  for (const sibling of path) {
    if (last === 0) return undefined;
    if (at % 2 === 1 || at === last) {
      node = await sha256(one, sibling, node);
      while (at % 2 === 0 && at !== 0) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
    } else {
      node = await sha256(one, node, sibling);
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 ? node : undefined;
}

/** The entry itself, out of a C2SP tlog-proof. */
function entryIn(proof: string): Uint8Array<ArrayBuffer> {
  const written = /^extra (\S+)$/m.exec(proof)?.[1] ?? "";
  return Uint8Array.from(atob(written), (letter) => letter.charCodeAt(0));
}

const hexOf = (bytes: Uint8Array) => "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export async function proveEntry(index: number, attempts = 3): Promise<ProvedEntry> {
  const proof = await askJson<EntryProof>(`/trace/proof?index=${index}`, administering);
  const { ledger } = proof;
  if (!ledger?.covers || !ledger.contract || !ledger.institution || !ledger.origin) return { proof };
  const { checkpointOnChain } = await import("./chain");
  const kept = await checkpointOnChain(ledger.contract, ledger.institution, ledger.origin);
  if (kept.size > BigInt(ledger.size) && attempts > 1) return proveEntry(index, attempts - 1); // a newer one came meanwhile
  const leaf = await sha256(Uint8Array.of(0), entryIn(proof.proof));
  const root = await rootFrom(leaf, index, ledger.size, (ledger.path ?? []).map(bytesOf));
  return { proof, holds: root !== undefined && kept.size === BigInt(ledger.size) && hexOf(root) === kept.root };
}
