package main

import (
	"fmt"
	"html/template"
)

var trainPage = template.Must(template.New("report").Funcs(template.FuncMap{
	"count":    countText,
	"duration": durationText,
	"share":    func(x float64) string { return fmt.Sprintf("%.3f", x) },
	"g":        func(x float64) string { return fmt.Sprintf("%.4g", x) },
}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Training of {{.Output}}</title>
<style>` + reportStyle + `
pre { background: #f6f6f6; padding: 0.8em 1em; overflow-x: auto; font-size: 0.85em; line-height: 1.4; }
h2 + .wide + .wide { margin-top: 1em; }
.sheet { display: flex; flex-wrap: wrap; gap: 0.8em; }
.sheet figure { margin: 0; width: 96px; font-size: 0.8em; overflow-wrap: anywhere; }
.sheet img { display: block; }
.wrong { color: #b00020; }
</style>
</head>
<body>
<h1>{{.Output}}</h1>
<p>{{len .History.Epochs}} epochs in {{duration .Seconds}}; {{count .Params}} parameters, {{if eq .Trained .Params}}all{{else}}{{count .Trained}}{{end}} trained.</p>
{{with .Result}}
<h2>Validation</h2>
<table>
<tr><td>loss</td><td class="n">{{printf "%.5g" .Loss}}</td></tr>
{{range .Metrics}}<tr><td>{{.Name}}</td><td class="n">{{.Value}}</td></tr>
{{end}}<tr><td>samples</td><td class="n">{{.Samples}}</td></tr>
</table>
{{end}}
{{with .Curves}}
<h2>Curves</h2>
<div class="plots">
{{range .}}<figure>{{.Plot}}<figcaption>{{.Kind}}</figcaption></figure>
{{end}}</div>
{{end}}
{{with .Shown}}
<h2>Classes</h2>
{{with $.Matrix}}<div class="wide">{{.}}</div>{{else}}<p>{{len $.Result.Classes}} classes; these have the lowest F1.</p>{{end}}
<div class="wide"><table>
<tr><th>class</th><th class="n">samples</th><th class="n">precision</th><th class="n">recall</th><th class="n">F1</th></tr>
{{range .}}<tr><td>{{$.ClassName .Class}}</td><td class="n">{{.Samples}}</td><td class="n">{{share .Precision}}</td><td class="n">{{share .Recall}}</td><td class="n">{{share .F1}}</td></tr>
{{end}}</table></div>
{{end}}
{{with .Result}}{{if .Sheet}}
<h2>Sample predictions</h2>
<div class="sheet">
{{range .Sheet}}<figure><img src="{{.Src}}" alt="{{.File}}" title="{{.File}}" width="96" height="96"><figcaption>{{if .Right}}{{$.ClassName .Guess}}{{else}}<span class="wrong">{{$.ClassName .Guess}}</span>, is {{$.ClassName .Target}}{{end}}</figcaption></figure>
{{end}}</div>
{{end}}{{if .Worst}}
<h2>Samples with the largest errors</h2>
<p>Numbers of samples count from 0, in the order of {{if .Part}}the file that validation data were split from{{else}}the validation data{{end}}.</p>
<div class="wide"><table>
<tr><th class="n">sample</th><th class="n">{{if .Classify}}cross entropy</th>{{if .Single}}<th>class</th><th>taken for</th>{{else}}<th class="n">right</th>{{end}}{{else}}squared error</th>{{end}}</tr>
{{range .Worst}}<tr><td class="n">{{.Index}}{{with .File}} {{.}}{{end}}</td><td class="n">{{g .Loss}}</td>{{if $.Result.Classify}}{{if $.Result.Single}}<td>{{$.ClassName .Target}}</td><td>{{$.ClassName .Guess}}</td>{{else}}<td class="n">{{.Hits}} of {{.Positions}}</td>{{end}}{{end}}</tr>
{{end}}</table></div>
{{end}}{{end}}
<h2>Model</h2>
<p>For one sample: {{count .FLOPs}} floating-point operations{{if not .Known}} at least{{end}}.</p>
<div class="wide"><table>
<tr><th>layer</th><th>operator</th><th>result</th><th class="n">parameters</th><th class="n">FLOPs</th></tr>
{{range .Layers}}<tr><td class="name">{{.Name}}</td><td>{{.Op}}</td><td>{{.Shape}}</td><td class="n">{{if .Params}}{{.Params}}{{end}}</td><td class="n">{{if .FLOPs}}{{count .FLOPs}}{{end}}</td></tr>
{{end}}</table></div>
{{if .More}}<p>{{.More}} more are not listed.</p>{{end}}
<h2>Data</h2>
<table>
{{range .Data}}<tr><td>{{.Name}}</td><td>{{.Value}}</td></tr>
{{end}}</table>
<h2>Environment</h2>
<table>
{{range .Settings}}<tr><td>{{.Name}}</td><td class="name">{{.Value}}</td></tr>
{{end}}</table>
<h2>Configuration</h2>
<pre>{{.Config}}</pre>
</body>
</html>
`))
