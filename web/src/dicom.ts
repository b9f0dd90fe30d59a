// Values of the DICOM JSON model (PS3.18 Annex F), and how people read them.
import { texts } from "./texts";

export interface Name {
  Alphabetic?: string;
  Ideographic?: string;
  Phonetic?: string;
}
export interface Element {
  vr: string;
  Value?: unknown[];
}
export type DataSet = Record<string, Element>;

export const tags = {
  date: "00080020",
  time: "00080030",
  accession: "00080050",
  modalitiesInStudy: "00080061",
  modality: "00080060",
  referrer: "00080090",
  studyDescription: "00081030",
  seriesDescription: "0008103E",
  sopInstance: "00080018",
  patientName: "00100010",
  patientId: "00100020",
  issuer: "00100021",
  birthDate: "00100030",
  sex: "00100040",
  bodyPart: "00180015",
  study: "0020000D",
  series: "0020000E",
  seriesNumber: "00200011",
  seriesOfStudy: "00201206",
  instancesOfStudy: "00201208",
  instancesOfSeries: "00201209",
} as const;

export function text(set: DataSet, tag: string): string {
  return (set[tag]?.Value ?? []).filter((value) => value !== null).join(", ");
}

export function count(set: DataSet, tag: string): number {
  return Number(set[tag]?.Value?.[0] ?? 0);
}

/** "20240630" as "2024-06-30"; what is no date stays as it is. */
export function dateText(date: string): string {
  return date.replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3");
}

/** "111500.12" as "11:15". */
export function timeText(time: string): string {
  return time.replace(/^(\d\d)(\d\d).*$/, "$1:$2");
}

/** "2026-11-30T23:39:42.231Z" as this machine's people write it. */
export function momentText(moment: string): string {
  const at = new Date(moment);
  if (Number.isNaN(at.getTime())) return moment;
  const two = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** "Doe^Jane^^Dr" as "Doe, Jane Dr" (PS3.5 §6.2.1). */
export function nameText(written: string): string {
  const [family, ...others] = written.split("^");
  return [family, others.filter(Boolean).join(" ")].filter(Boolean).join(", ");
}

/** A person's name in the letters it is mostly read in, and in those it is written in at home. */
export function namesOf(set: DataSet, tag: string = tags.patientName): { main: string; other: string } {
  const name = (set[tag]?.Value?.[0] ?? {}) as Name;
  const main = name.Alphabetic || name.Ideographic || name.Phonetic || "";
  const other = name.Alphabetic ? (name.Ideographic ?? "") : "";
  return { main: nameText(main) || texts.studies.noName, other: nameText(other) };
}

/** Years of age at a date; none where one of the two is not known. */
export function ageAt(birth: string, date: string): number | undefined {
  if (!/^\d{8}$/.test(birth) || !/^\d{8}$/.test(date)) return undefined;
  const years = Math.floor((Number(date) - Number(birth)) / 10_000);
  return years >= 0 && years < 150 ? years : undefined;
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
export function bytesText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}
