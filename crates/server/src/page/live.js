"use strict";
(() => {
  const MOST = 500; // messages kept on the page
  const $ = (id) => document.getElementById(id);
  const url = (list) => "/c/" + list.split(",").map((name) => encodeURIComponent(name.trim())).join(",");
  let stream = null;

  function say(state, text) {
    $("state").dataset.state = state;
    $("state").textContent = text;
  }

  // Everything shown is set as text; nothing that was published becomes markup.
  function show(name, text, id, at, notice) {
    const item = document.createElement("li");
    const time = document.createElement("time");
    const event = document.createElement("b");
    const body = document.createElement("p");
    const small = document.createElement("small");
    time.textContent = new Date(at || Date.now()).toLocaleTimeString();
    event.textContent = name;
    body.textContent = text;
    small.textContent = id || "";
    item.append(time, event, body, small);
    if (notice) item.className = "notice";
    $("tail").prepend(item);
    while ($("tail").children.length > MOST) $("tail").lastElementChild.remove();
  }

  function heard(event) {
    const message = JSON.parse(event.data);
    const data = typeof message.data === "string" ? message.data : JSON.stringify(message.data);
    show(message.channel + (message.event === "message" ? "" : " · " + message.event), data, message.id, message.ts);
  }

  // An EventSource says nothing about why it was refused; a plain request does.
  async function reason(list) {
    try {
      const answer = await fetch(url(list) + "?limit=1", { cache: "no-store" });
      if (answer.ok) return "refused";
      const problem = await answer.json();
      return problem.code + ": " + problem.detail;
    } catch {
      return "the server cannot be reached";
    }
  }

  function listen(list) {
    if (stream) stream.close();
    $("tail").replaceChildren();
    say("waiting", "connecting …");
    const source = new EventSource(url(list) + "?format=sse,envelope&rewind=20");
    stream = source;
    source.addEventListener("$ready", () => say("live", "listening to " + list));
    source.addEventListener("$gap", (event) => {
      const gap = JSON.parse(event.data);
      show(gap.channel, "messages may be missing here (" + gap.reason + ")", null, null, true);
    });
    source.onmessage = heard;
    source.onerror = async () => {
      if (source !== stream) return;
      if (source.readyState !== EventSource.CLOSED) return say("waiting", "connection lost; coming back …");
      const why = await reason(list);
      if (source === stream) say("refused", why);
    };
    $("curl").textContent = "curl -d 'hello' '" + location.origin + url(list) + "'";
  }

  $("listen").addEventListener("submit", (event) => {
    event.preventDefault();
    const list = $("channel").value.trim();
    history.replaceState(null, "", "#" + encodeURIComponent(list));
    listen(list);
  });

  $("publish").addEventListener("submit", async (event) => {
    event.preventDefault();
    const headers = { "Content-Type": "text/plain; charset=utf-8" };
    if ($("key").value) headers.Authorization = "Bearer " + $("key").value;
    const name = $("event").value;
    const target = url($("channel").value.trim()) + (name ? "?event=" + encodeURIComponent(name) : "");
    const out = $("answer");
    try {
      const answer = await fetch(target, { method: "POST", headers, body: $("message").value });
      const body = await answer.json();
      out.dataset.state = answer.ok ? "done" : "refused";
      out.textContent = answer.ok ? "published as " + body.id : body.code + ": " + body.detail;
      if (answer.ok) $("message").value = "";
    } catch {
      out.dataset.state = "refused";
      out.textContent = "the server cannot be reached";
    }
  });

  const wanted = decodeURIComponent(location.hash.slice(1));
  if (wanted) $("channel").value = wanted;
  listen($("channel").value.trim());
})();
