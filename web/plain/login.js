// Changes a token into a session, and goes on to where it was asked for.
"use strict";

/** Where to go afterwards: a page of ours, whatever the address says. */
function destination() {
  const wanted = new URL(new URLSearchParams(location.search).get("then") ?? "/", location.origin);
  return wanted.origin === location.origin ? wanted.href : "/";
}

async function logIn(form) {
  const answer = await fetch("/session", { method: "POST", body: new URLSearchParams(new FormData(form)) });
  if (answer.ok) return "";
  if (answer.status === 401) return "This token is not known, has expired or was taken back.";
  if (answer.status === 429) return "Too many attempts from here. Try again in a minute.";
  return "The archive does not answer as it should (" + answer.status + "). Try again, or tell your administrator.";
}

document.getElementById("log-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const message = document.getElementById("message");
  const button = form.querySelector("button");
  message.textContent = "";
  message.classList.remove("wrong");
  button.disabled = true;
  const problem = await logIn(form).catch(() => "The archive cannot be reached.");
  button.disabled = false;
  if (problem === "") {
    location.replace(destination());
    return;
  }
  message.textContent = problem;
  message.classList.add("wrong");
  document.getElementById("token").select();
});
