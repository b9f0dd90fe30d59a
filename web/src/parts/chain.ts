// The chain as the archive's node tells it (POST /ledger/rpc), read and decoded here in the browser. Loaded where it is looked at.
import { type Abi, type Address, type Hex, createClient, custom, decodeEventLog, decodeFunctionData } from "viem";
import { getBalance, getBlock, getTransactionCount, getTransactionReceipt, readContract } from "viem/actions";
import { abi as checkpoints } from "../../../contracts/abi/Checkpoints.json";
import { abi as consents } from "../../../contracts/abi/Consents.json";
import { abi as directory } from "../../../contracts/abi/Directory.json";
import { abi as members } from "../../../contracts/abi/Members.json";
import { abi as studies } from "../../../contracts/abi/Studies.json";
import { send } from "../api";

const abis = { Members: members, Studies: studies, Consents: consents, Checkpoints: checkpoints, Directory: directory } as unknown as Record<string, Abi>;

interface Answered {
  result?: unknown;
  error?: { code: number; message: string };
}

async function request({ method, params = [] }: { method: string; params?: unknown }): Promise<unknown> {
  const answer = await send<Answered>("POST", "/ledger/rpc", { jsonrpc: "2.0", id: 1, method, params: params as unknown[] });
  if (answer.error) throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
  return answer.result;
}

const client = createClient({ transport: custom({ request }, { retryCount: 0 }) });

/** Contracts by name, as GET /ledger has them. */
export type Contracts = Record<string, Address>;

export interface Called {
  contract?: string;
  name?: string;
  args: { name: string; value: unknown }[];
}
export interface Sent extends Called {
  hash: Hex;
  block: bigint;
  from: Address;
  to: Address | null;
  nonce: number;
  value: bigint;
  input: Hex;
}
export interface ChainBlock {
  number: bigint;
  hash: Hex | null;
  time: string;
  gasUsed: bigint;
  gasLimit: bigint;
  sent: Sent[];
}
export interface Logged extends Called {
  address: Address;
  index: number;
}
export interface Outcome {
  succeeded: boolean;
  gasUsed: bigint;
  logs: Logged[];
}

const contractAt = (contracts: Contracts, address: string | null) => Object.entries(contracts).find(([, there]) => there.toLowerCase() === address?.toLowerCase())?.[0];

function namedInputs(abi: Abi, type: "function" | "event", name: string, args: unknown): Called["args"] {
  const found = abi.find((item) => item.type === type && "name" in item && item.name === name);
  const inputs = found?.type === "function" || found?.type === "event" ? found.inputs : [];
  return inputs.map((input, place) => ({ name: input.name ?? String(place), value: Array.isArray(args) ? args[place] : (args as Record<string, unknown> | undefined)?.[input.name ?? ""] }));
}

function decodeCall(contracts: Contracts, to: string | null, input: Hex): Called {
  const contract = contractAt(contracts, to);
  const abi = contract && abis[contract];
  if (!abi) return { contract, args: [] };
  try {
    const { functionName, args } = decodeFunctionData({ abi, data: input });
    return { contract, name: functionName, args: namedInputs(abi, "function", functionName, args) };
  } catch {
    return { contract, args: [] }; // of another version of the contract
  }
}

export async function blockOf(contracts: Contracts, number: bigint): Promise<ChainBlock> {
  const block = await getBlock(client, { blockNumber: number, includeTransactions: true });
  const sent = block.transactions.map((one) => ({ hash: one.hash, block: number, from: one.from, to: one.to, nonce: one.nonce, value: one.value, input: one.input, ...decodeCall(contracts, one.to, one.input) }));
  return { number, hash: block.hash, time: new Date(Number(block.timestamp) * 1000).toISOString(), gasUsed: block.gasUsed, gasLimit: block.gasLimit, sent };
}

export async function outcomeOf(contracts: Contracts, hash: Hex): Promise<Outcome> {
  const receipt = await getTransactionReceipt(client, { hash });
  const logs = receipt.logs.map((log): Logged => {
    const contract = contractAt(contracts, log.address);
    const abi = contract && abis[contract];
    const plain = { contract, address: log.address, index: log.logIndex };
    if (!abi) return { ...plain, args: [] };
    try {
      const { eventName, args } = decodeEventLog({ abi, data: log.data, topics: log.topics });
      return { ...plain, name: eventName, args: eventName ? namedInputs(abi, "event", eventName, args) : [] };
    } catch {
      return { ...plain, args: [] };
    }
  });
  return { succeeded: receipt.status === "success", gasUsed: receipt.gasUsed, logs };
}

export async function accountOf(address: Address): Promise<{ balance: bigint; nonce: number }> {
  const [balance, nonce] = await Promise.all([getBalance(client, { address }), getTransactionCount(client, { address })]);
  return { balance, nonce };
}

/** What the contract holds of a trace. */
export async function checkpointOnChain(address: Address, institution: Hex, origin: Hex): Promise<{ root: Hex; size: bigint }> {
  return (await readContract(client, { address, abi: checkpoints as unknown as Abi, functionName: "checkpointOf", args: [institution, origin] })) as { root: Hex; size: bigint };
}
