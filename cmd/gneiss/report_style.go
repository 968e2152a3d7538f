package main

// reportStyle is the style sheet of all reports.
const reportStyle = `
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1000px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; } th, td { padding: 0.2em 0.9em 0.2em 0; text-align: left; vertical-align: top; }
th { border-bottom: 1px solid #bbb; font-weight: 600; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.warn { background: #fff4e5; border-left: 4px solid #d1495b; padding: 0.5em 1em; margin: 0.5em 0; }
.plots { display: flex; flex-wrap: wrap; gap: 1em; } figure { margin: 0; } figcaption { font-size: 0.85em; overflow-wrap: anywhere; max-width: 360px; }
.wide { overflow-x: auto; } td.name { overflow-wrap: anywhere; min-width: 7em; max-width: 30em; }
svg { max-width: 100%; height: auto; }
`
