// What the console's pages do in the browser. No page holds code of its own: the policy of `access/headers.py` forbids it.
//
// 1. Regions (`data-live`, with an id) are renewed from the page's own address, at the interval that was chosen, not while
//    the page is hidden. What a person has opened, focused or marked in them stays.
// 2. When an update fails, a banner says why, and what was shown stays; the next one that succeeds takes the banner away.
// 3. A form with `data-confirm` is sent only after a yes. The dialog is outside all regions, and has a copy of the form.
// 4. A button with `data-copy` copies a text, also over plain HTTP, where browsers offer no clipboard.
"use strict";
(() => {
  const page = document.body;
  const banner = document.getElementById("banner");
  const seconds = Number(page.dataset.interval);
  let lastUpdate = new Date();
  let isUpdating = false;

  function say(sentence) {
    banner.textContent = sentence;
    banner.hidden = !sentence;
  }

  function clock(moment) {
    return moment.toISOString().slice(11, 19);
  }

  async function update() {
    const ids = [...document.querySelectorAll("[data-live]")].map((region) => "#" + CSS.escape(region.id));
    if (!ids.length || document.hidden || isUpdating) {
      return;
    }
    isUpdating = true;
    try {
      await htmx.ajax("GET", location.href, { source: page, swap: "none", selectOOB: ids.join(",") });
    } catch {
      // htmx has sent an event, below
    } finally {
      isUpdating = false;
    }
  }

  function failed(sentence) {
    say(sentence + " " + page.dataset.stale.replace("{time}", clock(lastUpdate)));
  }

  page.addEventListener("htmx:responseError", (event) => {
    const answer = event.detail.xhr;
    const isText = (answer.getResponseHeader("content-type") || "").startsWith("text/plain");
    failed(isText ? answer.responseText : page.dataset.unreachable);
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    page.addEventListener(name, () => failed(page.dataset.unreachable));
  }
  page.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) {
      lastUpdate = new Date();
      say("");
    }
  });

  let focused = "";
  page.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    const selection = document.getSelection();
    const isMarked = selection && !selection.isCollapsed && selection.intersectsNode?.(target);
    const coming = fragment.firstElementChild;
    for (const opened of target.querySelectorAll("details[open][id]")) {
      coming?.querySelector("#" + CSS.escape(opened.id))?.setAttribute("open", "");
    }
    if (isMarked || (coming && coming.outerHTML === target.outerHTML)) {
      event.detail.shouldSwap = false;
    }
    focused = target.contains(document.activeElement) ? document.activeElement.id : "";
  });
  page.addEventListener("htmx:oobAfterSwap", () => {
    if (focused && document.activeElement?.id !== focused) {
      document.getElementById(focused)?.focus({ preventScroll: true });
    }
    focused = "";
  });

  if (seconds) {
    setInterval(update, seconds * 1000);
    document.addEventListener("visibilitychange", update);
  }

  const dialog = document.getElementById("confirm");
  page.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.confirm) {
      return;
    }
    event.preventDefault();
    const copy = dialog.querySelector("form");
    copy.action = form.action;
    const fields = copy.querySelector("[data-fields]");
    fields.replaceChildren();
    for (const [name, value] of new FormData(form, event.submitter)) {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = name;
      field.value = value;
      fields.append(field);
    }
    dialog.querySelector("[data-question]").textContent = form.dataset.confirm;
    dialog.showModal();
  });
  dialog.querySelector("[data-cancel]").addEventListener("click", () => dialog.close());

  page.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) {
      return;
    }
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(button.dataset.copy);
    } else {
      const field = document.createElement("textarea");
      field.value = button.dataset.copy;
      page.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = page.dataset.copied;
  });
})();
