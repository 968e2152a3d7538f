// Package knob reads the module's environment variables. They are for whoever
// runs a program, never for what a model means: each is declared once, with
// its type, default and help, and All lists them.
package knob

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Knob is one environment variable.
type Knob struct {
	Name    string // with the prefix GNEISS_
	Type    string // "string", "int", "bool" or the choices joined by "|"
	Default string
	Help    string // one sentence

	check func(string) error
}

var (
	mu  sync.Mutex
	all = map[string]*Knob{}
)

func declare(k *Knob) *Knob {
	mu.Lock()
	defer mu.Unlock()
	if !strings.HasPrefix(k.Name, "GNEISS_") || k.Help == "" || all[k.Name] != nil {
		panic("knob: bad or repeated declaration of " + k.Name)
	}
	all[k.Name] = k
	return k
}

// String declares a knob that takes any text.
func String(name, def, help string) *Knob {
	return declare(&Knob{Name: name, Type: "string", Default: def, Help: help, check: func(string) error { return nil }})
}

// Choice declares a knob that takes one of the choices. An empty def is allowed
// beside them and means that the variable is not set.
func Choice(name, def, help string, choices ...string) *Knob {
	return declare(&Knob{Name: name, Type: strings.Join(choices, "|"), Default: def, Help: help, check: func(s string) error {
		if s == def || slices.Contains(choices, s) {
			return nil
		}
		return fmt.Errorf("want one of %s", strings.Join(choices, ", "))
	}})
}

// Int declares a knob that takes an integer in [lo, hi].
func Int(name string, def, lo, hi int, help string) *Knob {
	return declare(&Knob{Name: name, Type: "int", Default: strconv.Itoa(def), Help: help, check: func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < lo || n > hi {
			return fmt.Errorf("want an integer from %d to %d", lo, hi)
		}
		return nil
	}})
}

// Bool declares a knob that takes 1, 0, true or false.
func Bool(name string, def bool, help string) *Knob {
	return declare(&Knob{Name: name, Type: "bool", Default: strconv.FormatBool(def), Help: help, check: func(s string) error {
		_, err := strconv.ParseBool(s)
		return err
	}})
}

// Get returns the value of the variable, or the default if it is not set, is
// empty or is not valid (see Err).
func (k *Knob) Get() string {
	if s := strings.TrimSpace(os.Getenv(k.Name)); s != "" && k.check(s) == nil {
		return s
	}
	return k.Default
}

// Int returns the value of an int knob.
func (k *Knob) Int() int {
	n, _ := strconv.Atoi(k.Get()) // checked, or the default
	return n
}

// Bool returns the value of a bool knob.
func (k *Knob) Bool() bool {
	b, _ := strconv.ParseBool(k.Get()) // checked, or the default
	return b
}

// Err says what is wrong with the value that is set; nil if nothing is.
func (k *Knob) Err() error {
	s := strings.TrimSpace(os.Getenv(k.Name))
	if s == "" {
		return nil
	}
	if err := k.check(s); err != nil {
		return fmt.Errorf("%s is %q: %w", k.Name, s, err)
	}
	return nil
}

// All returns the knobs of the packages that the program links, by name.
func All() []*Knob {
	mu.Lock()
	defer mu.Unlock()
	out := make([]*Knob, 0, len(all))
	for _, k := range all {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b *Knob) int { return strings.Compare(a.Name, b.Name) })
	return out
}
