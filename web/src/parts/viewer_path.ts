/** Where the viewer shows a study. */
export function viewerPath(study: string): string {
  return `/ohif/viewer?StudyInstanceUIDs=${encodeURIComponent(study)}`;
}
