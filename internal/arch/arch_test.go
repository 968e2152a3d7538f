package arch

import (
	"bytes"
	"go/build"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/gneiss-run/gneiss"

const root = "../.."

// rule is what a package may import besides the standard library: packages of
// this module (a trailing /... takes what is below) and others.
type rule struct{ own, others []string }

func words(s string) []string { return strings.Fields(s) }

var (
	numeric = words("gonum.org/v1/gonum/...")
	sys     = words("golang.org/x/sys/...")
	proto   = words("google.golang.org/protobuf/...")
)

// rules lists the packages of the module. A package that is missing here fails
// the test: where it belongs is a decision.
var rules = map[string]rule{
	".":                    {words("runtime onnx tensor"), nil},
	"tensor":               {nil, sys},
	"internal/knob":        {nil, nil},
	"internal/cpu":         {words("internal/knob"), sys},
	"internal/par":         {words("internal/knob internal/cpu"), sys},
	"internal/jpeg":        {nil, nil},
	"internal/tiff":        {nil, nil},
	"internal/near":        {nil, nil},
	"internal/idle":        {nil, nil},
	"internal/huge":        {words("internal/knob"), sys},
	"internal/atomicfile":  {nil, nil},
	"internal/kernels/...": {words("internal/cpu internal/par internal/idle internal/kernels/..."), nil},
	"onnx":                 {words("tensor onnx/schema internal/atomicfile"), proto},
	"onnx/onnxpb":          {nil, proto},
	"onnx/schema":          {nil, nil},
	"onnx/schema/gen":      {words("onnx/schema"), nil},
	"ops":                  {words("onnx tensor internal/kernels/... internal/par internal/jpeg internal/tiff"), numeric},
	"ops/functions":        {words("onnx tensor"), nil},
	"optimize":             {words("onnx onnx/schema ops ops/functions tensor internal/cpu internal/par internal/near"), numeric},
	"runtime":              {words("onnx ops optimize tensor internal/cpu internal/par internal/knob internal/idle internal/huge internal/atomicfile internal/kernels/frozen"), sys},
	"data":                 {words("onnx tensor internal/jpeg"), words("golang.org/x/image/draw")},
	"data/parquet":         {words("data"), words("github.com/parquet-go/parquet-go/...")},
	"data/tokenizer":       {words("internal/atomicfile"), words("github.com/dlclark/regexp2/v2 golang.org/x/text/unicode/norm")},
	"quantize/...":         {words("data onnx onnx/schema ops optimize runtime tensor internal/kernels/vec internal/par internal/near internal/atomicfile quantize/..."), numeric},
	"train/...":            {words("data onnx onnx/schema ops optimize runtime tensor quantize/... internal/par internal/atomicfile train/..."), append(proto, numeric...)},
	"conformance":          {words("onnx ops runtime optimize tensor"), words("github.com/ulikunitz/xz")},
	"internal/optest":      {words("onnx ops tensor internal/par"), nil},
	"internal/shared":      {nil, nil},
	"internal/leak":        {words("internal/par"), words("go.uber.org/goleak")},
	"internal/arch":        {nil, nil},
	"internal/results":     {nil, nil},
	"interop/onnxgo":       {words(". runtime onnx ops tensor"), words("github.com/owulveryck/onnx-go/... gorgonia.org/tensor gonum.org/v1/gonum/...")},
	"cmd/...":              {words("..."), words("...")},
	"examples/...":         {words(". tensor onnx"), nil},

	"examples/chargpt":        {words(". tensor onnx train/..."), nil},
	"examples/dlrm":           {words("onnx tensor train/..."), nil},
	"examples/imageserver":    {words(". data tensor onnx"), nil},
	"examples/textclassifier": {words(". tensor onnx train/..."), nil},
	"examples/vae":            {words(". data onnx tensor train/..."), nil},
}

// allowed reports whether one of the patterns names p.
func allowed(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(q string) bool {
		prefix, all := strings.CutSuffix(q, "...")
		if all {
			return strings.HasPrefix(p+"/", prefix)
		}
		return p == q
	})
}

// packages returns the folders of the module that hold Go files.
func packages(t *testing.T) []string {
	t.Helper()
	var dirs []string
	require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if p != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			if p != root {
				if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
					return filepath.SkipDir
				}
			}
			return nil
		}
		if strings.HasSuffix(p, ".go") {
			rel, err := filepath.Rel(root, filepath.Dir(p))
			if err != nil {
				return err
			}
			if rel = filepath.ToSlash(rel); !slices.Contains(dirs, rel) {
				dirs = append(dirs, rel)
			}
		}
		return nil
	}))
	return dirs
}

func ruleFor(pkg string) (rule, bool) {
	if r, ok := rules[pkg]; ok {
		return r, true
	}
	for p, r := range rules {
		if strings.HasSuffix(p, "/...") && allowed([]string{p}, pkg) {
			return r, true
		}
	}
	return rule{}, false
}

func TestImports(t *testing.T) {
	pkgs := packages(t)
	for p := range rules {
		if !slices.ContainsFunc(pkgs, func(pkg string) bool { return allowed([]string{p}, pkg) }) {
			t.Errorf("the rule for %s is about no package", p)
		}
	}
	for _, pkg := range pkgs {
		r, ok := ruleFor(pkg)
		if !ok {
			t.Errorf("package %s has no rule in this test: say what it may import", pkg)
			continue
		}
		for _, goos := range []string{"linux", "darwin", "windows"} {
			c := build.Default
			c.GOOS, c.GOARCH, c.CgoEnabled = goos, "amd64", false
			p, err := c.ImportDir(filepath.Join(root, pkg), 0)
			if _, none := err.(*build.NoGoError); none {
				continue
			}
			require.NoError(t, err)
			for _, im := range p.Imports {
				first, _, _ := strings.Cut(im, "/")
				own, isOwn := strings.CutPrefix(im, module)
				switch {
				case im == "C":
					t.Errorf("%s uses cgo", pkg)
				case isOwn:
					if own = strings.TrimPrefix(own, "/"); own == "" {
						own = "."
					}
					if !allowed(r.own, own) {
						t.Errorf("%s must not import %s", pkg, own)
					}
				case strings.Contains(first, "."):
					if !allowed(r.others, im) {
						t.Errorf("%s must not import %s", pkg, im)
					}
				}
			}
		}
	}
}

// TestLinked: a program that uses the library links the standard library, this
// module and few others, and no cgo.
func TestLinked(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}} {{len .CgoFiles}}{{end}}", ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.Output()
	require.NoError(t, err)
	may := slices.Concat([]string{module + "/..."}, numeric, sys, proto)
	for line := range strings.Lines(string(out)) {
		pkg, cgo, ok := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case !ok:
		case cgo != "0":
			t.Errorf("the library links %s, which uses cgo", pkg)
		case !allowed(may, pkg):
			t.Errorf("the library links %s", pkg)
		}
	}
}

// maxLines is where a file must be split by what its parts are about.
const maxLines = 800

func TestFileLength(t *testing.T) {
	for _, pkg := range packages(t) {
		entries, err := os.ReadDir(filepath.Join(root, pkg))
		require.NoError(t, err)
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), ".pb.go") {
				continue
			}
			b, err := os.ReadFile(filepath.Join(root, pkg, e.Name()))
			require.NoError(t, err)
			if bytes.Contains(b[:min(len(b), 200)], []byte("Code generated")) {
				continue
			}
			if n := bytes.Count(b, []byte("\n")); n > maxLines {
				t.Errorf("%s/%s has %d lines, at most %d", pkg, e.Name(), n, maxLines)
			}
		}
	}
}

// operator matches where an operator file registers its operator, or makes one of training.
var operator = regexp.MustCompile(`(?m)^\t+register\(|^func \w+Op\(\) \*Op \{$`)

// TestOperatorFiles: an operator is one file and its test.
func TestOperatorFiles(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(root, "ops"))
	require.NoError(t, err)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".go")
		if !ok || strings.HasSuffix(name, "_test") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, "ops", e.Name()))
		require.NoError(t, err)
		switch at := operator.FindAll(b, -1); {
		case len(at) == 0:
			continue
		case len(at) > 1:
			t.Errorf("ops/%s registers %d operators: one file each", e.Name(), len(at))
		case bytes.HasPrefix(at[0], []byte("\t\t")):
			t.Errorf("ops/%s registers operators in a loop or condition", e.Name())
		}
		if _, err := os.Stat(filepath.Join(root, "ops", name+"_test.go")); err != nil {
			t.Errorf("ops/%s has no %s_test.go", e.Name(), name)
		}
		if !bytes.Contains(b, []byte("Spec: https://")) {
			t.Errorf("ops/%s does not link its specification", e.Name())
		}
	}
}
