import { IconAlertTriangle, IconFileText, IconLock } from "@tabler/icons-react";
import { texts } from "../texts";
import type { Preview } from "./preview";

/** A preview in its black frame; where nothing can be drawn, a sign. It says nothing to who hears the page: the row does. */
export function Picture({ preview, kind }: { preview?: Preview; kind: "row" | "series" }) {
  const damaged = preview?.proof?.damaged;
  return (
    <div className={`frame frame-${kind}${damaged ? " frame-damaged" : ""}`} title={damaged ? texts.proof.damaged : preview?.denied ? texts.denied.title : undefined}>
      {preview?.url && <img className="picture" src={preview.url} alt="" />}
      {damaged && <IconAlertTriangle size={22} color="var(--mantine-color-red-5)" aria-hidden />}
      {preview?.denied && <IconLock size={22} aria-hidden />}
      {preview && !preview.url && !damaged && !preview.denied && <IconFileText size={22} aria-hidden />}
    </div>
  );
}
