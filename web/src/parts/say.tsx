import { notifications } from "@mantine/notifications";
import type { ReactNode } from "react";
import { texts } from "../texts";

/** Tells, at the window's edge, what became of something. */
export function say(message: ReactNode, { wrong = false, seconds = 8 } = {}) {
  notifications.show({ message, color: wrong ? "red" : "teal", autoClose: seconds * 1000, closeButtonProps: { "aria-label": texts.close } });
}
