// What the pages do beyond forms and links: keys, the state of the connection, and
// keeping what is open when a part of a page is replaced.
"use strict";

const byId = (id) => document.getElementById(id);
const typing = (el) => el && (el.matches("input, textarea, select") || el.isContentEditable);

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const box = byId("big-q") || byId("q");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// The connection: shown when it is lost, with the time of what the page shows.
let last = new Date();
const clock = (t) => t.toISOString().slice(11, 19) + " UTC";
function connected(is) {
  const box = byId("offline");
  if (is) last = new Date();
  if (!box || box.hidden === is) return;
  byId("offline-at").textContent = clock(last);
  box.hidden = is;
}
document.addEventListener("htmx:sseOpen", () => {
  if (!byId("offline").hidden) reload();
  connected(true);
});
document.addEventListener("htmx:sseMessage", () => connected(true));
document.addEventListener("htmx:sseError", () => connected(false));
document.addEventListener("htmx:sendError", () => connected(false));
addEventListener("offline", () => connected(false));
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) byId("ended").hidden = false;
});

// After a lost connection the page may have missed a change.
function reload() {
  const part = byId("live");
  if (part && part.hasAttribute("hx-get")) htmx.trigger(part, "sse:changed");
}

// What a reader has opened stays open, and what has the focus keeps it. While
// something is typed into a part, or clicked, that part is left as it is, and is
// loaded afterwards.
const kept = { open: [], focus: "" };
let pressed = false;
let missed = false;
function later() {
  pressed = false;
  if (missed && !typing(document.activeElement)) reload();
}
addEventListener("pointerdown", () => (pressed = true));
addEventListener("pointerup", () => setTimeout(later, 300));
addEventListener("pointercancel", later);
addEventListener("focusout", () => setTimeout(later, 300));
document.addEventListener("htmx:beforeSwap", (event) => {
  const part = event.detail.target;
  if (part.id !== "live") return;
  kept.open = [...document.querySelectorAll("details[id][open]")].map((el) => el.id);
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  kept.focus = focused ? (focused.closest("[id]") || part).id : "";
  missed = pressed || typing(focused);
  if (missed) event.detail.shouldSwap = false;
});
function restore() {
  for (const id of kept.open) {
    const el = byId(id);
    if (el) el.open = true;
  }
}
document.addEventListener("htmx:oobAfterSwap", restore);
document.addEventListener("htmx:afterSwap", () => {
  restore();
  const el = kept.focus && kept.focus !== "live" && byId(kept.focus);
  if (el) (el.matches("details") ? el.querySelector("summary") : el).focus({ preventScroll: true });
});

const print = byId("print");
if (print) print.addEventListener("click", () => window.print());

// A form is sent once, also if its button is pressed twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
  setTimeout(() => delete form.dataset.sent, 5000);
});
addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => delete form.dataset.sent));
