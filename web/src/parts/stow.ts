// STOW-RS (PS3.18 §10.5) from the browser: files in batches, an answer for each instance.
import { problemOf } from "../api";
import type { DataSet } from "../dicom";
import { texts } from "../texts";
import type { Instance } from "./picture_to_dicom";

/** Whether a file begins as PS3.10 §7.1 says, or as data sets without preamble do. */
export async function isDicom(file: File): Promise<boolean> {
  const head = new Uint8Array(await file.slice(0, 132).arrayBuffer());
  if (head.length < 8) return false;
  if (head.length === 132 && String.fromCharCode(...head.slice(128)) === "DICM") return true;
  return head[0] === 8 && head[1] === 0 && head[3] === 0 && (head[2] ?? 255) <= 0x18; // group 0008, little endian
}

/** The SOP Instance UID in a file's beginning: of its meta information (0002,0003). */
export async function sopInstanceOf(file: File): Promise<string | undefined> {
  const head = new DataView(await file.slice(0, 4096).arrayBuffer());
  for (let at = 132; at + 8 <= head.byteLength && head.getUint16(at, true) === 2; ) {
    const long = ["OB", "UN"].includes(String.fromCharCode(head.getUint8(at + 4), head.getUint8(at + 5)));
    if (long && at + 12 > head.byteLength) return undefined;
    const length = long ? head.getUint32(at + 8, true) : head.getUint16(at + 6, true);
    const value = at + (long ? 12 : 8);
    if (head.getUint16(at + 2, true) === 3 && value + length <= head.byteLength) {
      return new TextDecoder("ascii").decode(new Uint8Array(head.buffer, value, length)).replace(/[\0 ]+$/, "");
    }
    at = value + length;
  }
  return undefined;
}

export interface Stored {
  /** Why each was not stored, by SOP Instance UID. */
  failed: Map<string, number>;
  aside: Set<string>;
  stored: Set<string>;
}

function items(set: DataSet, tag: string): DataSet[] {
  return (set[tag]?.Value ?? []) as DataSet[];
}

function read(answer: DataSet): Stored {
  const out: Stored = { failed: new Map(), aside: new Set(), stored: new Set() };
  const uid = (item: DataSet) => String(item["00081155"]?.Value?.[0] ?? "");
  for (const item of items(answer, "00081199")) (item["00081196"] ? out.aside : out.stored).add(uid(item));
  for (const item of items(answer, "00081198")) out.failed.set(uid(item), Number(item["00081197"]?.Value?.[0] ?? 0x0110));
  for (const item of items(answer, "0008119A")) out.failed.set("", Number(item["00081197"]?.Value?.[0] ?? 0xc000));
  return out;
}

interface Part {
  head: string;
  body: BlobPart;
}

/** DICOM files, a part each. */
export function partsOfFiles(files: File[]): Part[] {
  return files.map((file) => ({ head: "Content-Type: application/dicom", body: file }));
}

/** Metadata, and the pixel data that they name. */
export function partsOfInstances(instances: Instance[]): Part[] {
  const metadata = { head: "Content-Type: application/dicom+json", body: JSON.stringify(instances.map((one) => one.metadata)) };
  return [metadata, ...instances.map((one, index) => ({ head: `Content-Type: ${one.media}\r\nContent-Location: pixels/${index + 1}`, body: one.pixels }))];
}

/** Sends all in one request. say: bytes that went out. Throws: Problem; TypeError where the connection broke. */
export function store(parts: Part[], type: "application/dicom" | "application/dicom+json", say: (bytes: number) => void): Promise<Stored> {
  const boundary = `fiducial-${crypto.randomUUID()}`;
  const pieces: BlobPart[] = parts.flatMap(({ head, body }) => [`--${boundary}\r\n${head}\r\n\r\n`, body, "\r\n"]);
  const body = new Blob([...pieces, `--${boundary}--\r\n`]);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch() tells nothing of how far a body has gone
    request.open("POST", "/studies");
    request.setRequestHeader("Content-Type", `multipart/related; type="${type}"; boundary=${boundary}`);
    request.setRequestHeader("Accept", "application/dicom+json");
    request.upload.onprogress = (event) => say(event.loaded);
    request.onerror = () => reject(new TypeError(texts.upload.interrupted));
    request.onload = () => {
      if (request.status === 401) return location.replace("/login?then=" + encodeURIComponent(location.pathname));
      const type = request.getResponseHeader("Content-Type") ?? "";
      if (type.startsWith("application/dicom+json")) return resolve(read(JSON.parse(request.responseText) as DataSet));
      void problemOf(new Response(request.responseText, { status: request.status }), texts.problem.unexpected).then(reject);
    };
    request.send(body);
  });
}
