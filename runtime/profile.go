package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Profile is what one run spent on each node, in the order of execution. Nodes
// of nested graphs appear once for each time they ran, before their outer node
// ends, with a greater Depth; the time of the outer node includes theirs.
type Profile struct {
	Start time.Time
	Nodes []NodeTime
}

// NodeTime is one execution of one node.
type NodeTime struct {
	Name, Op string
	Depth    int           // 0: the main graph
	Start    time.Duration // since the profile's start
	Time     time.Duration
	In, Out  []string // element types and shapes
	// Bytes is the size of the tensors read and written, weights as the model has them.
	Bytes int64
}

func (p *Profile) add(in *instr, c *ops.Call, start, end time.Time, depth int) {
	n := NodeTime{Name: in.name, Op: in.op, Depth: depth, Start: start.Sub(p.Start), Time: end.Sub(start)}
	list := func(vs []tensor.Value) []string {
		s := make([]string, len(vs))
		for i, v := range vs {
			s[i] = "-"
			if v != nil {
				s[i] = v.String()
			}
			if t, ok := v.(*tensor.Tensor); ok && t != nil {
				n.Bytes += int64(len(t.Bytes()))
			}
		}
		return s
	}
	n.In, n.Out = list(c.In), list(c.Out)
	for _, v := range in.packed {
		if v.at < len(n.In) {
			n.In[v.at] = fmt.Sprint(v.dtype, " ", v.shape)
			n.Bytes += int64(v.bytes)
		}
	}
	p.Nodes = append(p.Nodes, n)
}

// Profile runs the model once, as Run does, and returns the time of each node.
func (s *Session) Profile(ctx context.Context, in map[string]tensor.Value) (*Profile, error) {
	p := &Profile{Start: time.Now()}
	if _, err := s.run(ctx, in, request{profile: p}); err != nil {
		return nil, err
	}
	return p, nil
}

// WriteTrace writes the profile in Chrome's trace event format, which
// chrome://tracing and Perfetto show.
func (p *Profile) WriteTrace(w io.Writer) error {
	type event struct {
		Name string         `json:"name"`
		Cat  string         `json:"cat"`
		Ph   string         `json:"ph"`
		Ts   float64        `json:"ts"`
		Dur  float64        `json:"dur"`
		Pid  int            `json:"pid"`
		Tid  int            `json:"tid"`
		Args map[string]any `json:"args"`
	}
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	if _, err := io.WriteString(w, "{\"traceEvents\":[\n"); err != nil {
		return err
	}
	for i, n := range p.Nodes {
		b, err := json.Marshal(event{Name: n.Name, Cat: n.Op, Ph: "X", Ts: us(n.Start), Dur: us(n.Time), Pid: 1, Tid: 1,
			Args: map[string]any{"op": n.Op, "inputs": n.In, "outputs": n.Out, "bytes": n.Bytes}})
		if err != nil {
			return err
		}
		sep := ",\n"
		if i == len(p.Nodes)-1 {
			sep = "\n"
		}
		if _, err := fmt.Fprintf(w, "%s%s", b, sep); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "]}\n")
	return err
}
