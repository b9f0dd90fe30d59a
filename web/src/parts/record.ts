/** What GET /studies/{study}/record answers. */
export interface StudyRecord {
  studyInstanceUid: string;
  patientId: string;
  patientName: string;
  date: string;
  description: string;
  instances: number;
  versions: { version: number; reasons: string; instances: number; record: string; made: string; state?: string; block?: number; problem?: string }[];
  objects: { sopInstanceUid: string; seriesInstanceUid: string; transferSyntax: string; size: number; sha256: string; objectId: string; movedFromStudy?: string }[];
  removed: { sopInstanceUid: string; seriesInstanceUid: string; reason: string; at: string }[];
  holds?: unknown[];
}
