--- What a report does with JavaScript: filters, order, stars, keys, a closer look. Without it the
-- page is the same list.
return [==[
"use strict";
(function () {
  const cards = Array.from(document.querySelectorAll(".card"));
  const bar = document.querySelector(".bar");
  if (!cards.length || !bar) return;
  const values = new Map(cards.map(c => [c, JSON.parse(c.dataset.values || "{}")]));
  const order = new Map(cards.map((c, i) => [c, i]));
  const home = new Map(cards.map(c => [c, c.parentNode]));
  const filters = {};

  function make(name, attrs, text) {
    const e = document.createElement(name);
    Object.assign(e, attrs || {});
    if (text !== undefined) e.textContent = text;
    return e;
  }
  function labelled(text, control, is_row) {
    const l = make("label", { className: is_row ? "row" : "" });
    if (is_row) l.append(control, text); else l.append(text, control);
    bar.append(l);
    return control;
  }
  function choice(label, options) {
    const s = make("select");
    for (const [value, text] of options) s.append(make("option", { value }, text));
    return labelled(label, s);
  }

  // ---- stars ----

  const place = "weft report " + document.title;
  let stars = new Set();
  try { stars = new Set(JSON.parse(localStorage.getItem(place) || "[]")); } catch (e) { /* none */ }
  const key = c => c.dataset.file || c.id + " " + c.dataset.name;
  function show_star(c) {
    const on = stars.has(key(c)), b = c.querySelector(".star");
    c.classList.toggle("starred", on);
    b.textContent = on ? "\u2605" : "\u2606";
    b.setAttribute("aria-pressed", on);
  }
  function star(c) {
    if (!stars.delete(key(c))) stars.add(key(c));
    try { localStorage.setItem(place, JSON.stringify([...stars])); } catch (e) { /* not kept */ }
    show_star(c);
    apply();
  }
  for (const c of cards) {
    const b = make("button", { className: "star", type: "button", title: "star (s)" });
    b.setAttribute("aria-label", "star");
    b.addEventListener("click", () => star(c));
    c.append(b);
    show_star(c);
  }

  // ---- the bar ----

  const names = [...new Set(cards.flatMap(c => Object.keys(values.get(c))))].sort();
  for (const name of names) {
    const found = [...new Set(cards.map(c => values.get(c)[name]).filter(v => v !== undefined))];
    if (found.length < 2 || found.length > 16) continue;
    found.sort((a, b) => typeof a === "number" && typeof b === "number" ? a - b
      : String(a).localeCompare(String(b)));
    const s = choice(name, [["", "all"]].concat(found.map((v, i) => [String(i), String(v)])));
    s.addEventListener("change", () => {
      if (s.value === "") delete filters[name]; else filters[name] = found[Number(s.value)];
      apply();
    });
  }
  const sort = choice("order", [["", "as made"], ["seed", "by seed"], ["name", "by name"]]);
  sort.addEventListener("change", () => { reorder(); apply(); });
  const only = labelled("starred only", make("input", { type: "checkbox" }), true);
  only.addEventListener("change", apply);
  const copy = make("button", { type: "button" }, "copy starred");
  bar.append(copy);
  const count = make("span", { className: "count" });
  bar.append(count);
  bar.hidden = false;

  function compare(a, b) {
    if (sort.value === "seed") {
      const d = (values.get(a).seed ?? Infinity) - (values.get(b).seed ?? Infinity);
      if (d) return d;
    } else if (sort.value === "name") {
      const d = a.dataset.name.localeCompare(b.dataset.name);
      if (d) return d;
    }
    return order.get(a) - order.get(b);
  }
  function reorder() {
    for (const c of [...cards].sort(compare)) home.get(c).append(c);
  }
  function visible() { return Array.from(document.querySelectorAll(".card:not([hidden])")); }
  function apply() {
    for (const c of cards) {
      const v = values.get(c);
      c.hidden = (only.checked && !stars.has(key(c)))
        || Object.keys(filters).some(n => v[n] !== filters[n]);
    }
    for (const s of document.querySelectorAll("section")) {
      s.hidden = !s.querySelector(".card:not([hidden])") && !s.querySelector(".alone");
    }
    const n = visible().length;
    count.textContent = n === cards.length ? n + " shown" : n + " of " + cards.length + " shown";
    copy.disabled = stars.size === 0;
  }

  async function put(text, button) {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch (e) {
      const area = make("textarea", { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "copied";
    setTimeout(() => { button.textContent = before; }, 1200);
  }
  copy.addEventListener("click", () => {
    const lines = cards.filter(c => stars.has(key(c))).map(c => {
      const seed = values.get(c).seed;
      return c.dataset.file || c.dataset.name + (seed === undefined ? "" : "  seed " + seed);
    });
    put(lines.join("\n") + "\n", copy);
  });
  for (const p of document.querySelectorAll(".repro")) {
    const b = make("button", { type: "button" }, "copy");
    b.addEventListener("click", () => put(p.querySelector("code").textContent, b));
    p.append(b);
  }

  // ---- a closer look ----

  const dialog = make("dialog"), large = make("img"), text = make("p");
  dialog.append(large, text);
  document.body.append(dialog);
  dialog.addEventListener("click", () => dialog.close());
  function look(c) {
    const im = c.querySelector("img.picture");
    if (!im) return;
    large.src = im.src;
    large.className = im.classList.contains("pixels") ? "pixels" : "";
    large.alt = im.alt;
    text.textContent = [c.dataset.name, c.querySelector(".line")?.textContent]
      .filter(Boolean).join(" \u2014 ");
    if (!dialog.open) dialog.showModal();
  }
  for (const im of document.querySelectorAll("img.picture")) {
    if (im.closest("a")) continue;
    im.classList.add("zoom");
    im.addEventListener("click", () => look(im.closest(".card")));
  }

  // ---- keys ----

  function next(c, by) {
    const list = visible(), i = list.indexOf(c);
    return list[Math.max(0, Math.min(list.length - 1, i < 0 ? 0 : i + by))];
  }
  function below(c, sign) {
    const r = c.getBoundingClientRect(), x = r.left + 1;
    const rows = visible().map(o => [o, o.getBoundingClientRect()])
      .filter(([, q]) => sign * (q.top - r.top) > 8);
    rows.sort((a, b) => sign * (a[1].top - b[1].top) || a[1].left - b[1].left);
    const same = rows.filter(([, q]) => Math.abs(q.top - rows[0][1].top) < 8);
    same.sort((a, b) => Math.abs(a[1].left - x) - Math.abs(b[1].left - x));
    return same.length ? same[0][0] : c;
  }
  document.addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.target.closest("select, input, audio, video")) return;
    const c = e.target.closest(".card") || document.querySelector(".card.here");
    const go = { ArrowRight: () => next(c, 1), ArrowLeft: () => next(c, -1),
      ArrowDown: () => c && below(c, 1), ArrowUp: () => c && below(c, -1) }[e.key];
    if (go) {
      const to = go();
      if (!to) return;
      e.preventDefault();
      for (const o of document.querySelectorAll(".here")) o.classList.remove("here");
      to.classList.add("here");
      if (dialog.open) look(to); else to.focus();
    } else if (c && e.key === "s") {
      star(c);
    } else if (c && e.key === "Enter" && e.target === c) {
      look(c);
      c.classList.add("here");
    }
  });
  document.addEventListener("play", e => {
    for (const a of document.querySelectorAll("audio, video")) if (a !== e.target) a.pause();
  }, true);

  apply();
})();
]==]
