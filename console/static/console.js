// What the console's pages do in the browser. No page holds code of its own: the policy of `access/headers.py` forbids it.
//
// 1. Regions (`data-live`, with an id) are renewed from the page's own address, at the interval that was chosen, not while
//    the page is hidden. What a person has opened, focused or marked in them stays.
// 2. When an update fails, a banner says why, and what was shown stays; the next one that succeeds takes the banner away.
// 3. A form with `data-confirm` is sent only after a yes. The dialog is outside all regions, and has a copy of the form.
// 4. A button with `data-copy` copies a text, also over plain HTTP, where browsers offer no clipboard.
// 5. A section with `data-stream` is followed: its server-sent events bring rows for its table, at the top. It is left
//    while the page is hidden or `data-pause` is pressed, and goes on from the last place heard of; where it cannot, the
//    section is renewed as a region is.
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
    say(sentence + page.dataset.stale.replace("{time}", clock(lastUpdate)));
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

  const MOST_ROWS = 200;
  const AGAIN_MS = 5000;
  let source = null;
  let place = "";
  let isPaused = false;
  let isHeard = false;

  function followed() {
    return document.querySelector("[data-stream]");
  }

  function add(rows) {
    const table = followed().querySelector("[data-rows]");
    const coming = document.createElement("template");
    coming.innerHTML = rows;
    for (const row of [...coming.content.children]) {
      if (row.id && document.getElementById(row.id)) {
        row.remove();
      }
    }
    table.prepend(coming.content);
    while (table.rows.length > MOST_ROWS) {
      table.rows[table.rows.length - 1].remove();
    }
  }

  async function renewList() {
    if (!followed() || document.hidden || isPaused) {
      return;
    }
    const before = lastUpdate;
    try {
      await htmx.ajax("GET", location.href, { source: page, swap: "none", selectOOB: "#" + CSS.escape(followed().id) });
    } catch {
      // htmx has sent an event, above
    }
    if (lastUpdate === before) {
      setTimeout(renewList, AGAIN_MS);
    } else {
      place = "";
      follow();
    }
  }

  function follow() {
    source?.close();
    source = null;
    if (!followed() || document.hidden || isPaused) {
      return;
    }
    const address = new URL(followed().dataset.stream, location.href);
    if (place) {
      address.searchParams.set("after", place);
    }
    source = new EventSource(address);
    isHeard = false;
    source.addEventListener("calls", (event) => {
      place = event.lastEventId;
      add(event.data);
    });
    source.addEventListener("beat", (event) => {
      place = event.lastEventId;
      isHeard = true;
      lastUpdate = new Date();
      say("");
      followed().querySelector("[data-beat]").textContent = event.data;
    });
    source.addEventListener("again", () => {
      source.close();
      setTimeout(renewList, 1000);
    });
    source.addEventListener("error", () => {
      if (source?.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(renewList, isHeard ? 0 : AGAIN_MS);
      }
    });
  }

  document.addEventListener("visibilitychange", follow);
  page.addEventListener("click", (event) => {
    const button = event.target.closest("[data-pause]");
    if (button) {
      isPaused = !isPaused;
      button.setAttribute("aria-pressed", String(isPaused));
      follow();
    }
  });
  follow();

  const dialog = document.getElementById("confirm");
  page.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.confirm) {
      return;
    }
    event.preventDefault();
    const copy = dialog.querySelector("form");
    copy.setAttribute("action", form.getAttribute("action")); // `form.action` is a field of that name where there is one
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
