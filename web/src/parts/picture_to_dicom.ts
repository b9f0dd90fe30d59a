// A PNG or JPEG as a Secondary Capture image (PS3.3 §A.8), for STOW-RS with metadata and bulk data (PS3.18 §10.5): photographs of the skin,
// scanned letters. JPEG data stay as they are; a PNG becomes uncompressed RGB.
import type { DataSet } from "../dicom";

export interface About {
  patientName: string;
  patientId: string;
  description: string;
}

/** A UID out of random bits (PS3.5 §B.2). */
function newUid(): string {
  return `2.25.${BigInt(`0x${crypto.randomUUID().replaceAll("-", "")}`)}`;
}

export function isPicture(file: File): boolean {
  return file.type === "image/png" || file.type === "image/jpeg";
}

/** Rows, columns and components of a baseline JPEG (ITU-T T.81 §B.2.2); nothing for other kinds. */
function baselineFrame(bytes: Uint8Array): { rows: number; columns: number; components: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 10 <= bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xc0) return { rows: view.getUint16(at + 5), columns: view.getUint16(at + 7), components: bytes[at + 9] ?? 0 };
    if (marker >= 0xc1 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) return undefined;
  }
  return undefined;
}

async function rgbOf(file: File): Promise<{ rows: number; columns: number; pixels: Uint8Array<ArrayBuffer> }> {
  const bitmap = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser draws no pictures");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const pixels = new Uint8Array(bitmap.width * bitmap.height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) pixels.set(data.subarray(from, from + 3), to);
  return { rows: bitmap.height, columns: bitmap.width, pixels };
}

export interface Instance {
  uid: string;
  metadata: DataSet;
  media: string;
  pixels: Uint8Array<ArrayBuffer>;
}

/** One study of one series, an instance a picture. */
export async function instancesOf(files: File[], about: About): Promise<Instance[]> {
  const [study, series] = [newUid(), newUid()];
  const now = new Date();
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  const time = `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
  const out: Instance[] = [];
  for (const [index, file] of files.entries()) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const frame = file.type === "image/jpeg" ? baselineFrame(bytes) : undefined;
    const asIs = frame !== undefined && (frame.components === 1 || frame.components === 3);
    const rgb = asIs ? undefined : await rgbOf(file);
    const components = asIs ? frame.components : 3;
    const uid = newUid();
    const of = (vr: string, ...value: (string | number)[]) => ({ vr, Value: value });
    const metadata = {
      "00080005": of("CS", "ISO_IR 192"),
      "00080016": of("UI", "1.2.840.10008.5.1.4.1.1.7"),
      "00080018": of("UI", uid),
      "00080020": of("DA", date),
      "00080030": of("TM", time),
      "00080060": of("CS", "OT"),
      "00080064": of("CS", asIs || file.type === "image/jpeg" ? "DI" : "WSD"),
      "00081030": of("LO", about.description),
      "00100010": { vr: "PN", Value: [{ Alphabetic: about.patientName }] },
      "00100020": of("LO", about.patientId),
      "0020000D": of("UI", study),
      "0020000E": of("UI", series),
      "00200011": of("IS", 1),
      "00200013": of("IS", index + 1),
      "00280002": of("US", components),
      "00280004": of("CS", components === 1 ? "MONOCHROME2" : asIs ? "YBR_FULL_422" : "RGB"),
      ...(components === 3 && { "00280006": of("US", 0) }),
      "00280010": of("US", asIs ? frame.rows : (rgb?.rows ?? 0)),
      "00280011": of("US", asIs ? frame.columns : (rgb?.columns ?? 0)),
      "00280100": of("US", 8),
      "00280101": of("US", 8),
      "00280102": of("US", 7),
      "00280103": of("US", 0),
      ...(asIs && { "00282110": of("CS", "01"), "00282114": of("CS", "ISO_10918_1") }),
      "7FE00010": { vr: "OB", BulkDataURI: `pixels/${index + 1}` },
    } as unknown as DataSet;
    out.push({ uid, metadata, media: asIs ? "image/jpeg" : "application/octet-stream", pixels: rgb?.pixels ?? bytes });
  }
  return out;
}
