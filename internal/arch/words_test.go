package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every word of the assembly for arm64 is what GNU's assembler makes of the text
// beside it.
func TestWords(t *testing.T) {
	as, err := exec.LookPath("aarch64-linux-gnu-as")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("no assembler for arm64: the Debian package binutils-aarch64-linux-gnu has one")
	}
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("../kernels/*/*_arm64.s")
	word := regexp.MustCompile(`WORD \$0x([0-9a-f]{8}) // (.*)`)
	seen := map[string]string{}
	var texts []string
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range word.FindAllStringSubmatch(string(b), -1) {
			if old, ok := seen[m[2]]; !ok {
				seen[m[2]] = m[1]
				texts = append(texts, m[2])
			} else if old != m[1] {
				t.Errorf("%s: %s is %s and %s", name, m[2], old, m[1])
			}
		}
	}
	dir := t.TempDir()
	obj, bin := filepath.Join(dir, "o"), filepath.Join(dir, "b")
	cmd := exec.Command(as, "-march=armv8.6-a", "-o", obj, "-")
	cmd.Stdin = strings.NewReader(strings.Join(texts, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command(strings.TrimSuffix(as, "as")+"objcopy", "-O", "binary", obj, bin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(bin)
	if err != nil || len(b) != 4*len(texts) {
		t.Fatalf("%d bytes for %d instructions, %v", len(b), len(texts), err)
	}
	for i, s := range texts {
		want := ""
		for k := 3; k >= 0; k-- {
			const hex = "0123456789abcdef"
			want += string(hex[b[4*i+k]>>4]) + string(hex[b[4*i+k]&15])
		}
		if seen[s] != want {
			t.Errorf("%s is %s, want %s", s, seen[s], want)
		}
	}
	t.Logf("%d instructions", len(texts))
}
