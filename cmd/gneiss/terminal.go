package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// isTerminal reports whether a person looks at w. What knows better than its
// type has a method IsTerminal.
func isTerminal(w io.Writer) bool {
	switch w := w.(type) {
	case *outWriter:
		return isTerminal(w.Writer)
	case interface{ IsTerminal() bool }:
		return w.IsTerminal()
	case *os.File:
		return term.IsTerminal(int(w.Fd())) && os.Getenv("TERM") != "dumb"
	}
	return false
}

// terminalWidth is the number of columns of the terminal that w is; 0 if it is
// none or does not say.
func terminalWidth(w io.Writer) int {
	switch w := w.(type) {
	case *outWriter:
		return terminalWidth(w.Writer)
	case *os.File:
		if n, _, err := term.GetSize(int(w.Fd())); err == nil && n >= 20 {
			return n
		}
	}
	return 0
}

// The colours of the terminal's own palette.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
)

// paint colours text that is written to w, where that is a terminal and nobody
// said no (https://no-color.org).
func paint(w io.Writer, colour, text string) string {
	if os.Getenv("NO_COLOR") != "" || !isTerminal(w) {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// progress is a bar on a terminal, and nothing where w is none.
type progress struct {
	bars *mpb.Progress
	bar  *mpb.Bar
	w    io.Writer
	mu   sync.Mutex // guards what about reads
}

// newProgress starts a bar that counts to total; about is shown behind it.
func newProgress(w io.Writer, name string, total int, about func() string) *progress {
	p := &progress{w: w}
	if !isTerminal(w) || os.Getenv("CI") != "" || total < 1 {
		return p
	}
	p.bars = mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh(), mpb.WithRefreshRate(200*time.Millisecond))
	p.bar = p.bars.AddBar(int64(total),
		mpb.PrependDecorators(decor.Name(name+" "), decor.CountersNoUnit("%d/%d ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			p.mu.Lock()
			defer p.mu.Unlock()
			return " " + about()
		})),
		mpb.BarWidth(40), mpb.BarRemoveOnComplete())
	return p
}

// update changes what about reads and counts one.
func (p *progress) update(change func()) {
	p.mu.Lock()
	change()
	p.mu.Unlock()
	p.step()
}

func (p *progress) step() {
	if p.bar != nil {
		p.bar.Increment()
	}
}

// skip counts n that were done before.
func (p *progress) skip(n int) {
	if p.bar != nil && n > 0 {
		p.bar.SetRefill(int64(n))
		p.bar.IncrBy(n)
	}
}

// printf writes a line above the bar.
func (p *progress) printf(format string, args ...any) {
	if p.bars != nil {
		fmt.Fprintf(p.bars, format, args...)
		return
	}
	fmt.Fprintf(p.w, format, args...)
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
		p.bar, p.bars = nil, nil
	}
}
