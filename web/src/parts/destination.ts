/** Where to go after a log-in: a page of ours, whatever the address says. */
export function destination(): string {
  const wanted = new URL(new URLSearchParams(location.search).get("then") ?? "/", location.origin);
  return wanted.origin === location.origin ? wanted.href : "/";
}
