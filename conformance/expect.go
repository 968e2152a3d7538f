package conformance

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"regexp"
	"strings"
)

//go:embed expect.txt
var expectText string

// Expectations lists the cases that do not pass, with the reason. It is held
// against every run: a line that matches no case, or whose case passes, is an
// error, so that the list can only shrink honestly.
type Expectations []expectation

type expectation struct {
	line   int
	re     *regexp.Regexp
	status Status
	reason string
	used   bool
}

// Expected returns the expectations for this version of the module.
func Expected() (Expectations, error) { return ParseExpectations(strings.NewReader(expectText)) }

// ParseExpectations reads lines of a pattern (matched against the whole
// kind/name), a status and a reason. Empty lines and lines that begin with #
// are skipped.
func ParseExpectations(r io.Reader) (Expectations, error) {
	var list Expectations
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 {
			return nil, fmt.Errorf("expectations: line %d: want a pattern, a status and a reason", n)
		}
		re, err := regexp.Compile("^(?:" + f[0] + ")$")
		if err != nil {
			return nil, fmt.Errorf("expectations: line %d: %w", n, err)
		}
		st := Status(f[1])
		if st != Fail && st != Unsupported && st != Error {
			return nil, fmt.Errorf("expectations: line %d: status %q", n, f[1])
		}
		list = append(list, expectation{line: n, re: re, status: st, reason: strings.Join(f[2:], " ")})
	}
	return list, sc.Err()
}

// Check returns what in the report is not as expected, a line each. With
// stale, lines of the list that no case needs are reported too: for a run of the whole suite.
func (e Expectations) Check(rep *Report, stale bool) []string {
	var bad []string
	for i := range e {
		e[i].used = false
	}
	for _, r := range rep.Cases {
		want := Pass
		for i := range e {
			if e[i].re.MatchString(r.Kind + "/" + r.Name) {
				want = e[i].status
				e[i].used = e[i].used || r.Status == want
				break
			}
		}
		if r.Status != want {
			bad = append(bad, fmt.Sprintf("%s/%s: %s, expected %s: %s", r.Kind, r.Name, r.Status, want, r.Reason))
		}
	}
	for _, x := range e {
		if stale && !x.used {
			bad = append(bad, fmt.Sprintf("expectations: line %d matches no case of that status: %s", x.line, x.re))
		}
	}
	return bad
}
