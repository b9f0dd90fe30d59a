import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "./style.css";
import { type CSSVariablesResolver, MantineProvider, createTheme } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { setNonce } from "get-nonce";
import { createRoot } from "react-dom/client";
import { Problem } from "./api";
import { App } from "./app";

const theme = createTheme({
  primaryColor: "teal",
  primaryShade: 9,
  defaultRadius: "sm",
  fontFamily: "system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
  fontFamilyMonospace: "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', monospace",
  headings: { fontWeight: "600", sizes: { h1: { fontSize: "1.35rem" }, h2: { fontSize: "1.05rem" }, h3: { fontSize: "0.95rem" } } },
  cursorType: "pointer",
  respectReducedMotion: true,
});

/** Words on tinted ground, darker than Mantine's own: at least 4.5 to 1 (WCAG 2.2 §1.4.3). */
const hovered = {
  "--mantine-color-teal-filled-hover": "#066649",
  "--mantine-primary-color-filled-hover": "#066649",
  "--mantine-color-red-filled-hover": "#a51d1d",
};
const legible: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    ...hovered,
    "--mantine-color-teal-light-color": "#04543c",
    "--mantine-color-red-light-color": "#9b1c1c",
    "--mantine-color-yellow-light-color": "#6b4600",
    "--mantine-color-blue-light-color": "#114a82",
    "--mantine-color-gray-light-color": "#343a40",
    "--mantine-color-error": "#c01f1f",
    "--mantine-color-placeholder": "#6b737b",
    "--mantine-color-dimmed": "#5a6169",
  },
  dark: {
    ...hovered,
    "--mantine-color-teal-light-color": "#8ce8cb",
    "--mantine-color-red-light-color": "#ffb3b3",
    "--mantine-color-yellow-light-color": "#ffe08a",
    "--mantine-color-blue-light-color": "#a5d8ff",
    "--mantine-color-gray-light-color": "#d5dade",
    "--mantine-color-error": "#ff8787",
    "--mantine-color-placeholder": "#9aa2aa",
    "--mantine-color-dimmed": "#a6adb5",
  },
});

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      refetchOnWindowFocus: false,
      // What was refused stays refused; what was away may be back.
      retry: (failures, problem) => failures < 2 && (!(problem instanceof Problem) || problem.status === 503),
    },
  },
});

/** The nonce of this page's answer, under which its policy lets widgets write styles. */
const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce;
if (nonce) setNonce(nonce); // what keeps the page still behind a dialogue

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <MantineProvider theme={theme} defaultColorScheme="auto" cssVariablesResolver={legible} getStyleNonce={() => nonce ?? ""}>
      <QueryClientProvider client={queries}>
        <Notifications position="bottom-right" />
        <App />
      </QueryClientProvider>
    </MantineProvider>,
  );
}
