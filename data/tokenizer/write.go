package tokenizer

import (
	"encoding/json"
	"io"

	"github.com/gneiss-run/gneiss/internal/atomicfile"
)

// MarshalJSON returns the tokenizer as the text of a tokenizer.json.
func (t *Tokenizer) MarshalJSON() ([]byte, error) {
	f := t.file
	var err error
	if f.Model, err = marshal(t.model.describe()); err != nil {
		return nil, err
	}
	f.Truncation, f.Padding = nil, nil
	if tr := t.truncation; tr != nil {
		c := truncationConfig{direction(tr.Left), tr.MaxLength, tr.Strategy, tr.stride}
		if c.Strategy == "" {
			c.Strategy = "LongestFirst"
		}
		if f.Truncation, err = marshal(c); err != nil {
			return nil, err
		}
	}
	if p := t.padding; p != nil {
		c := paddingConfig{Strategy: json.RawMessage(`"BatchLongest"`), Direction: direction(p.Left), ID: p.ID, TypeID: p.TypeID, Token: p.Token}
		if p.Length > 0 {
			if c.Strategy, err = marshal(map[string]int{"Fixed": p.Length}); err != nil {
				return nil, err
			}
		}
		if p.MultipleOf > 0 {
			c.MultipleOf = &p.MultipleOf
		}
		if f.Padding, err = marshal(c); err != nil {
			return nil, err
		}
	}
	return marshal(f)
}

func marshal(v any) (json.RawMessage, error) { return json.Marshal(v) }

func direction(left bool) string {
	if left {
		return "Left"
	}
	return "Right"
}

// Save writes the tokenizer as a tokenizer.json, which is there whole or not at
// all.
func (t *Tokenizer) Save(path string) error {
	b, err := t.MarshalJSON()
	if err != nil {
		return err
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}
