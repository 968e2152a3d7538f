package gneiss_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

var codeBlock = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```")

// TestREADME runs every snippet of the README, and holds its table of
// operators against the registry. GNEISS_UPDATE=1 writes the table.
func TestREADME(t *testing.T) {
	b, err := os.ReadFile("README.md")
	require.NoError(t, err)
	text := string(b)

	begin := regexp.MustCompile(`(?m)^<!-- operators:.*-->\n`).FindStringIndex(text)
	end := strings.Index(text, "<!-- end of operators -->")
	require.NotNil(t, begin)
	require.Greater(t, end, begin[1]-1)
	table := operatorTable()
	if os.Getenv("GNEISS_UPDATE") != "" {
		text = text[:begin[1]] + table + text[end:]
		require.NoError(t, os.WriteFile("README.md", []byte(text), 0o644))
	} else {
		require.Equal(t, table, text[begin[1]:end], "run GNEISS_UPDATE=1 go test -run TestREADME .")
	}

	dir := t.TempDir()
	bin := filepath.Join(dir, "gneiss")
	run := func(dir, name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), out)
	}
	root, err := os.Getwd()
	require.NoError(t, err)
	run(root, "go", "build", "-o", bin, "./cmd/gneiss")
	require.NoError(t, os.Symlink(filepath.Join(root, "testdata"), filepath.Join(dir, "testdata")))
	writeSamples(t, filepath.Join(dir, "train.npz"), 200)
	writeSamples(t, filepath.Join(dir, "val.npz"), 50)
	programs, commands := 0, 0
	for _, m := range codeBlock.FindAllStringSubmatch(text, -1) {
		switch m[1] {
		case "go":
			programs++
			file := filepath.Join(t.TempDir(), "main.go")
			require.NoError(t, os.WriteFile(file, []byte(m[2]), 0o644))
			run(root, "go", "run", file)
		case "yaml":
			require.NoError(t, os.WriteFile(filepath.Join(dir, "net.yaml"), []byte(m[2]), 0o644))
		case "sh":
			for _, line := range strings.Split(strings.TrimSpace(m[2]), "\n") {
				f := strings.Fields(line)
				commands++
				switch {
				case line == "go test ./...": // this very run
				case f[0] == "go":
					run(root, "go", f[1:]...)
				case f[0] == "gneiss":
					run(dir, bin, f[1:]...)
				default:
					t.Errorf("README: no way to test the command %q", line)
				}
			}
		}
	}
	require.Greater(t, programs, 0)
	require.Greater(t, commands, 5)
}

// writeSamples writes what the README's configuration trains on: images x whose
// class y is where they are bright.
func writeSamples(t *testing.T, path string, n int) {
	t.Helper()
	x, y := make([]float32, n*64), make([]int64, n)
	for i := range y {
		y[i] = int64(i % 10)
		x[i*64+int(y[i])*6] = 1
	}
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "x", Tensor: tensor.Of(x, n, 1, 8, 8)}, {Name: "y", Tensor: tensor.Of(y, n)}}))
	require.NoError(t, f.Close())
}

// operatorTable lists the registry by domain.
func operatorTable() string {
	var b strings.Builder
	b.WriteString("| domain | operators |\n|---|---|\n")
	byDomain := map[string][]string{}
	var domains []string
	for _, o := range ops.Standard().All() {
		d := o.Domain
		if d == ops.Private {
			continue // no model can have them
		}
		if d == "" {
			d = "ai.onnx"
		}
		if byDomain[d] == nil {
			domains = append(domains, d)
		}
		byDomain[d] = append(byDomain[d], fmt.Sprintf("%s %d", o.Name, o.Versions[0].Since))
	}
	for _, d := range domains {
		fmt.Fprintf(&b, "| %s (%d) | %s |\n", d, len(byDomain[d]), strings.Join(byDomain[d], ", "))
	}
	return b.String()
}
