--- The look of a report: one column on a phone, a grid on a desk, light and dark as the reader has
-- it.
return [==[
:root {
  color-scheme: light dark;
  --ground: #faf9f6; --card: #ffffff; --ink: #23211e; --soft: #6b675f; --line: #e5e1d9;
  --tint: #f3f0ea; --accent: #22676b; --bad: #9d3324; --star: #b67b12;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #151514; --card: #1e1d1b; --ink: #e9e5dd; --soft: #a09a8e; --line: #34322e;
    --tint: #272623; --accent: #86c3c5; --bad: #ee9382; --star: #e6b95c;
  }
}
* { box-sizing: border-box; }
html {
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
  background: var(--ground); color: var(--ink);
  -webkit-text-size-adjust: 100%; text-size-adjust: 100%;
}
body { max-width: 1216px; margin: 0 auto; padding: clamp(20px, 5vw, 56px) clamp(16px, 4vw, 40px); }
h1, h2, h3, p, ol, dl, dd, pre, blockquote { margin: 0; padding: 0; }
h1, h2, h3, p, dd, blockquote, .words { overflow-wrap: anywhere; unicode-bidi: isolate; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; font-weight: 650;
  letter-spacing: -0.015em; }
h2 { font-size: 1.25rem; line-height: 1.3; font-weight: 620; letter-spacing: -0.01em; }
h3 { font-size: 0.95rem; line-height: 1.4; font-weight: 620; }
a { color: var(--accent); }
[hidden] { display: none !important; }
.sub, .note, .line, .lead { color: var(--soft); }
.sub { margin-top: 8px; }
.lead { margin-top: 4px; max-width: 44em; }

nav { margin-top: 20px; display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 0.9rem; }
nav a { text-decoration: none; min-width: 0; overflow-wrap: anywhere; }
nav a:hover { text-decoration: underline; }
.bar { margin-top: 24px; padding: 12px 0; display: flex; flex-wrap: wrap; align-items: end;
  gap: 10px 14px; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line);
  font-size: 0.85rem; color: var(--soft); }
.bar label { display: flex; flex-direction: column; gap: 2px; min-width: 0; }
.bar .row { flex-direction: row; align-items: center; gap: 6px; padding-bottom: 7px; }
.bar .count { margin-left: auto; padding-bottom: 6px; }
select, button { font: inherit; color: var(--ink); background: var(--card); max-width: 100%;
  border: 1px solid var(--line); border-radius: 6px; padding: 5px 9px; }
button { cursor: pointer; }
button:hover, select:hover { border-color: var(--soft); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

section { margin-top: clamp(36px, 6vw, 56px); }
.cards { margin-top: 16px; display: grid; gap: 18px; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(232px, 100%), 1fr)); }
.alone { grid-column: 1 / -1; max-width: 44em; }
.card { position: relative; min-width: 0; display: flex; flex-direction: column;
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
.whole { grid-column: 1 / -1; }
@media (min-width: 560px) { .wide { grid-column: span 2; } }
.about { padding: 12px 14px 12px; display: flex; flex-direction: column; gap: 6px;
  flex: 1; min-width: 0; }
.about .media { border-radius: 8px; }
.about .said { padding: 10px 12px; }

.media { background: var(--tint); }
.several { display: grid; gap: 2px;
  grid-template-columns: repeat(auto-fit, minmax(min(132px, 100%), 1fr)); }
.medium { min-width: 0; }
.picture { display: block; width: 100%; height: auto; }
.pixels { image-rendering: pixelated; }
.sound { padding: 14px; display: flex; flex-direction: column; gap: 8px; }
.wave { display: block; width: 100%; height: 52px; color: var(--accent); }
.wave path { fill: none; stroke: currentColor; stroke-width: 1; vector-effect: none; }
.spectrum { display: block; width: 100%; height: 72px; border-radius: 4px; }
audio { display: block; width: 100%; height: 40px; }
.strip { display: block; width: 100%; height: auto; margin-top: 2px; image-rendering: pixelated; }
.said { padding: 18px 16px; font-size: 1.05rem; line-height: 1.5; white-space: pre-wrap; }
.medium.text, .medium.missing { align-self: center; }
.bad { padding: 18px 16px; color: var(--bad); font-size: 0.9rem; overflow-wrap: anywhere; }

.prompt { font-size: 0.95rem; line-height: 1.45; }
.thing { display: inline-block; position: relative; vertical-align: middle; margin: 1px; }
.thing img { display: block; height: 2.1em; width: auto; max-width: 4.2em; border-radius: 4px; }
.chip { display: inline-flex; align-items: center; gap: 5px; padding: 0 7px; height: 1.9em;
  background: var(--tint); border: 1px solid var(--line); border-radius: 5px;
  font-size: 0.82em; color: var(--soft); }
.chip .wave { width: 34px; height: 1.2em; }
.weight { margin-left: 3px; font-size: 0.75em; color: var(--soft); }
.negative { display: flex; gap: 6px; align-items: baseline; font-size: 0.85rem;
  color: var(--soft); }
.negative .prompt { font-size: inherit; text-decoration: line-through;
  text-decoration-color: var(--line); }
.line { font-size: 0.8rem; font-variant-numeric: tabular-nums; }
.note { font-size: 0.88rem; }

details { font-size: 0.8rem; color: var(--soft); }
summary { cursor: pointer; width: fit-content; padding: 2px 0; }
summary:hover { color: var(--ink); }
dl { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 1px 12px; padding: 6px 0; }
dd { color: var(--ink); }
.repro { display: flex; align-items: center; gap: 6px; flex-wrap: wrap; }
code, pre { font: 0.78rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
code { padding: 3px 6px; background: var(--tint); border-radius: 4px; color: var(--ink);
  overflow-wrap: anywhere; user-select: all; }
.repro button { font-size: 0.75rem; padding: 1px 7px; }

.rounds { list-style: none; display: flex; flex-direction: column; gap: 12px; padding: 4px 0;
  max-width: 46em; }
.rounds li { max-width: min(34em, 88%); padding: 9px 13px; border-radius: 12px;
  display: flex; flex-direction: column; gap: 6px; min-width: 0; }
.you { align-self: flex-end; background: var(--tint); border-bottom-right-radius: 3px !important; }
.model { align-self: flex-start; border: 1px solid var(--line);
  border-bottom-left-radius: 3px !important; }
.rounds .medium { width: 216px; max-width: 100%; border-radius: 8px; overflow: hidden; }
.rounds .medium.audio { background: var(--tint); width: 280px; }
.who { font-size: 0.72rem; color: var(--soft); }

.failed { border-color: var(--bad); }
.failed .where { font-size: 0.82rem; color: var(--soft); }
.failed .message { color: var(--bad); overflow-wrap: anywhere; }
pre { margin-top: 6px; padding: 10px 12px; background: var(--tint); border-radius: 6px;
  white-space: pre-wrap; overflow-wrap: anywhere; color: var(--ink); }

.star { position: absolute; top: 8px; right: 8px; width: 32px; height: 32px; padding: 0;
  border-radius: 16px; border-color: transparent; opacity: 0; line-height: 1;
  background: color-mix(in srgb, var(--card) 82%, transparent); color: var(--soft); }
.card:hover .star, .card:focus-within .star, .card.starred .star, .star:focus { opacity: 1; }
@media (hover: none) { .star { opacity: 1; } }
.starred .star { color: var(--star); }
.zoom { cursor: zoom-in; }
dialog { width: min(96vw, 900px); max-height: 94vh; padding: 0; border: 0; border-radius: 12px;
  background: var(--card); color: var(--ink); overflow: auto; }
dialog::backdrop { background: rgb(0 0 0 / 0.7); }
dialog img { display: block; width: 100%; max-height: 78vh; object-fit: contain;
  background: var(--tint); }
dialog p { padding: 12px 16px; font-size: 0.9rem; }
footer { margin-top: 64px; padding-top: 16px; border-top: 1px solid var(--line);
  font-size: 0.82rem; color: var(--soft); max-width: none; }
@media print { .bar, .star, nav { display: none; } .card { break-inside: avoid; } }
]==]
