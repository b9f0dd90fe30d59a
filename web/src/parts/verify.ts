// "Verify now": every image is fetched as it is stored, and its fingerprint, computed here in the browser, is held against the record.
import { Problem, ask } from "../api";
import { texts } from "../texts";
import type { StudyRecord } from "./record";

export interface Verification {
  done: number;
  all: number;
  bad: { uid: string; why: string }[];
}

/** A file's data set, behind preamble and meta information (PS3.10 §7.1): what fingerprints are made of. */
function dataSetOf(file: ArrayBuffer): Uint8Array<ArrayBuffer> {
  const view = new DataView(file);
  const hasMeta = file.byteLength >= 144 && view.getUint32(128) === 0x4449434d && view.getUint32(132, true) === 2;
  return new Uint8Array(file, hasMeta ? Math.min(file.byteLength, 144 + view.getUint32(140, true)) : 0);
}

/** SHA-256 of a DICOM file's data set, as the archive records it. */
export async function fingerprint(file: ArrayBuffer): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", dataSetOf(file)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function check(study: string, object: StudyRecord["objects"][number]): Promise<string | undefined> {
  const path = `/studies/${study}/series/${object.seriesInstanceUid}/instances/${object.sopInstanceUid}`;
  try {
    const answer = await ask(path, { accept: "application/dicom; transfer-syntax=*" });
    if (answer.headers.has("Fiducial-Correction")) return texts.study.corrected;
    return (await fingerprint(await answer.arrayBuffer())) === object.sha256 ? undefined : texts.proof.damaged;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    return problem.code === "corrupt" ? texts.proof.damaged : problem.message;
  }
}

export async function verifyStudy(record: StudyRecord, say: (state: Verification) => void): Promise<void> {
  const bad: Verification["bad"] = [];
  for (const [index, object] of record.objects.entries()) {
    // What turns out to be damaged on the way breaks off; asked for again, the archive says why.
    const again = () => check(record.studyInstanceUid, object).catch(() => texts.problem.unreachable);
    const why = await check(record.studyInstanceUid, object).catch(again);
    if (why) bad.push({ uid: object.sopInstanceUid, why });
    say({ done: index + 1, all: record.objects.length, bad: [...bad] });
  }
}
