package tokenizer

import (
	"fmt"
	"strings"
)

// wordClass is \w of Oniguruma as the inside of a class: letters, marks, numbers
// and connectors, and the symbols that Unicode calls alphabetic.
const wordClass = `\p{L}\p{M}\p{N}\p{Pc}\u24b6-\u24e9`

// translate rewrites a pattern of Oniguruma's Ruby syntax for regexp2, whose
// syntax is that of .NET: ^ and $ are about lines, \w has marks in it, a + behind
// braces repeats. What means something else there and has no short form is an
// error.
//
// Source: https://github.com/kkos/oniguruma/blob/master/doc/RE
func translate(pattern string) (string, error) {
	var b strings.Builder
	fail := func(what string) (string, error) {
		return "", fmt.Errorf("regular expression %q: %s is not supported", pattern, what)
	}
	class, first := false, false // in a class; at its beginning
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		rest := pattern[i:]
		begin := first
		first = false
		switch {
		case c == '\\' && len(rest) > 1:
			i++
			switch e := rest[1]; {
			case e == 'w' && class:
				b.WriteString(wordClass)
			case e == 'w':
				b.WriteString("[" + wordClass + "]")
			case e == 'W' && !class:
				b.WriteString("[^" + wordClass + "]")
			case strings.IndexByte("WhHKgyYNO", e) >= 0:
				return fail(`\` + string(rune(e)))
			case e == 'x' && strings.HasPrefix(rest, `\x{`):
				end := strings.IndexByte(rest, '}')
				if end < 0 || end > 7 {
					return fail(`\x{…} of more than four digits`)
				}
				fmt.Fprintf(&b, `\u%04s`, rest[3:end])
				i += end - 1
			case e == 'p' || e == 'P':
				end := strings.IndexByte(rest, '}')
				if !strings.HasPrefix(rest[2:], "{") || end < 0 {
					return fail(`\p without braces`)
				}
				b.WriteString(rest[:end+1])
				i += end - 1
			default:
				b.WriteByte(c)
				b.WriteByte(e)
			}
		case class && c == '[':
			return fail("a class in a class")
		case class && strings.HasPrefix(rest, "&&"):
			return fail("an intersection of classes")
		case class:
			if begin && c == '^' {
				first = true
			}
			if class = c != ']' || begin; !class || c != ']' {
				b.WriteByte(c)
			} else {
				b.WriteString(`\]`)
			}
		case c == '[':
			class, first = true, true
			b.WriteByte(c)
		case c == '^':
			b.WriteString("(?m:^)")
		case c == '$':
			b.WriteString("(?m:$)")
		case strings.HasPrefix(rest, "}+"):
			return fail("a + behind braces")
		case strings.HasPrefix(rest, "(?m") || strings.HasPrefix(rest, "(?s"):
			return fail("the option " + rest[1:3])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}
