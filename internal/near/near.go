// Package near finds the names that a mistyped one was probably meant to be.
package near

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Distance is the number of bytes to insert, remove or replace that make a into
// b. Levenshtein, Binary codes capable of correcting deletions, insertions, and
// reversals, 1966.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
}

// Names returns the names among known that are near to name, regardless of
// case, the nearest first.
func Names(name string, known []string) []string {
	type far struct {
		name string
		by   int
	}
	var all []far
	for _, k := range known {
		if d := Distance(strings.ToLower(name), strings.ToLower(k)); d <= max(2, len(name)/3) {
			all = append(all, far{k, d})
		}
	}
	slices.SortFunc(all, func(a, b far) int { return cmp.Or(a.by-b.by, strings.Compare(a.name, b.name)) })
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = n.name
	}
	return names
}

// Hint is the end of a message about an unknown name: `; did you mean "x" or
// "y"?`, of up to three near names; "" where there is none.
func Hint(name string, known []string) string {
	var quoted []string
	for _, n := range Names(name, known) {
		quoted = append(quoted, fmt.Sprintf("%q", n))
	}
	if len(quoted) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(quoted[:min(3, len(quoted))], " or ") + "?"
}
