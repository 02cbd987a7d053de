--- The report's style sheet: legible on a phone, in print, in the dark.
return [[
:root { color-scheme: light dark; --back: #ffffff; --card: #f5f7f9; --ink: #1d242c; --soft: #5b6672; --line: #d5dbe1;
  --accent: #0b62a8; --warn-back: #fff3d6; --warn-ink: #6b4700; --good: #1b7a3d; --bad: #b3261e; --shade: 18, 85, 143; }
@media (prefers-color-scheme: dark) { :root { --back: #12161b; --card: #1b2129; --ink: #e4e9ee; --soft: #9aa7b4;
  --line: #323b46; --accent: #6db5f2; --warn-back: #3a2c0a; --warn-ink: #ffd98a; --good: #6fce8f; --bad: #ff9a90;
  --shade: 90, 165, 235; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.1rem 4rem; background: var(--back); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.4rem 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--accent); }
.small { font-size: .86rem; }
.answer { font-size: 1.12rem; line-height: 1.45; }
.sub, figcaption, .soft { color: var(--soft); }
.note { background: var(--warn-back); color: var(--warn-ink); border-radius: .5rem; padding: .6rem .9rem;
  margin: .8rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; margin: 1rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .88rem; display: block; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .75rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td:last-child { overflow-wrap: anywhere; min-width: 6rem; }
td.n, th.n { text-align: right; white-space: nowrap; min-width: 0; }
table.matrix td { text-align: center; min-width: 4.5rem; font-size: 1.05rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem;
  overflow-x: auto; font: .84rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; }
figure { margin: 0; }
figure img, figure svg { display: block; width: 100%; height: auto; border-radius: .4rem; }
figure svg { font-family: inherit; }
figcaption { font-size: .86rem; margin-top: .3rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1.2rem;
  margin: 1rem 0; align-items: start; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .9rem; margin: 1rem 0; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: 1rem;
  margin: 1rem 0; }
.gallery figcaption b, .pairs figcaption b { color: var(--bad); }
nav { font-size: .92rem; margin: .8rem 0; }
nav a { margin-right: .9rem; white-space: nowrap; text-decoration: none; }
footer { margin-top: 3rem; color: var(--soft); font-size: .88rem; }
@media (max-width: 30rem) { body { padding: .6rem .8rem 3rem; } th, td { padding: .3rem .4rem; }
  table { font-size: .86rem; } td.n, th.n { white-space: normal; overflow-wrap: normal; }
  td:first-child { min-width: 4.2rem; } pre { font-size: .68rem; white-space: pre-wrap; overflow-wrap: anywhere; }
  .tile b { font-size: 1.4rem; } .gallery { grid-template-columns: repeat(2, 1fr); } }
@media print { :root { --back: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --accent: #000;
  --warn-back: #fff; --warn-ink: #000; --bad: #000; --shade: 120, 120, 120; }
  body { max-width: none; font-size: 10pt; } nav { display: none; } .note { border: 1px solid #000; }
  figure, tr, .tile { break-inside: avoid; } h2, h3 { break-after: avoid; } pre { white-space: pre-wrap; } }
]]
