package optimize

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// constScales returns the scales of a Resize or Upsample, if they are constant.
func constScales(n *onnx.Node, i int) ([]float32, bool) {
	v := input(n, i)
	if v == nil {
		return nil, false
	}
	t := constOf(v)
	if t == nil || t.DType() != tensor.Float32 {
		return nil, false
	}
	return tensor.Data[float32](t), true
}

func upsample7Up(_ *converter, n *onnx.Node) error {
	if n.Attrs.Get("height_scale") == nil || n.Attrs.Get("width_scale") == nil {
		return need("height_scale or width_scale is missing")
	}
	s := []float32{1, 1, floatAttr(n, "height_scale", 1), floatAttr(n, "width_scale", 1)}
	n.Attrs = n.Attrs.Without("height_scale", "width_scale").Set("scales", s)
	return renamed("mode", "nearest", map[string]string{"bilinear": "linear"})(nil, n)
}

func upsample7Down(_ *converter, n *onnx.Node) error {
	s, err := onnx.Attribute(n, "scales", []float32(nil))
	if err != nil {
		return err
	}
	if len(s) != 4 || s[0] != 1 || s[1] != 1 {
		return need("scales %v are not for height and width alone", s)
	}
	n.Attrs = n.Attrs.Without("scales").Set("height_scale", s[2]).Set("width_scale", s[3])
	return renamed("mode", "nearest", map[string]string{"linear": "bilinear"})(nil, n)
}

func upsample9Up(c *converter, n *onnx.Node) error {
	s, err := onnx.Attribute(n, "scales", []float32(nil))
	if err != nil {
		return err
	}
	n.Attrs = n.Attrs.Without("scales")
	c.setConst(n, 1, tensor.Of(append([]float32(nil), s...), len(s)))
	return nil
}

func upsample9Down(_ *converter, n *onnx.Node) error {
	s, ok := constScales(n, 1)
	if !ok {
		return need("scales are computed, and the older version wants them as an attribute")
	}
	drop(n, 1)
	n.Attrs = n.Attrs.Set("scales", s)
	return nil
}

func resizeToUpsample(_ *converter, n *onnx.Node) error {
	s, ok := constScales(n, 1)
	for _, x := range s {
		ok = ok && x >= 1
	}
	if !ok {
		return need("scales are not known to enlarge")
	}
	n.Op = "Upsample"
	return nil
}

func upsampleToResize(_ *converter, n *onnx.Node) error {
	n.Op = "Resize"
	return nil
}

// resize11Up: version 10 maps coordinates by the scale alone and rounds the
// nearest one down when it enlarges, up when it shrinks.
func resize11Up(c *converter, n *onnx.Node) error {
	scales := n.In[1]
	mode, err := onnx.Attribute(n, "mode", "nearest")
	if err != nil {
		return err
	}
	n.Attrs = n.Attrs.Set("coordinate_transformation_mode", "asymmetric")
	if mode == "nearest" {
		round := "floor"
		if s, ok := constScales(n, 1); ok {
			grows, shrinks := false, false
			for _, x := range s {
				grows, shrinks = grows || x > 1, shrinks || x < 1
			}
			switch {
			case grows && shrinks:
				return need("scales %v enlarge and shrink, and rounding differs", s)
			case shrinks:
				round = "ceil"
			}
		} else if n.Opset >= 10 { // an Upsample only enlarges
			return need("scales are computed, and rounding depends on them")
		}
		n.Attrs = n.Attrs.Set("nearest_mode", round)
	}
	n.SetInput(2, scales)
	// Version 11 wants a roi tensor, which this coordinate mode does not read.
	c.setConst(n, 1, tensor.Of([]float32{}, 0))
	return nil
}

func resize11Down(_ *converter, n *onnx.Node) error {
	mode, _ := onnx.Attribute(n, "mode", "nearest")
	coord, _ := onnx.Attribute(n, "coordinate_transformation_mode", "half_pixel")
	round, _ := onnx.Attribute(n, "nearest_mode", "round_prefer_floor")
	s, ok := constScales(n, 2)
	if input(n, 3) != nil || !ok {
		return need("sizes are given or scales are computed")
	}
	grows, shrinks := false, false
	for _, x := range s {
		grows, shrinks = grows || x > 1, shrinks || x < 1
	}
	if coord != "asymmetric" || mode == "cubic" || mode == "nearest" && (shrinks && (grows || round != "ceil") || !shrinks && round != "floor") {
		return need("mode %s with coordinate_transformation_mode %s and nearest_mode %s", mode, coord, round)
	}
	scales := n.In[2]
	drop(n, 2)
	n.SetInput(1, scales)
	n.Attrs = n.Attrs.Without("coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a", "exclude_outside", "extrapolation_value")
	return nil
}

func resize13Down(c *converter, n *onnx.Node) error {
	for i := 1; i <= 2; i++ {
		if input(n, i) == nil {
			c.setConst(n, i, tensor.Of([]float32{}, 0))
		}
	}
	return nil
}

func resize18Down(_ *converter, n *onnx.Node) error {
	if n.Attrs.Get("axes") != nil {
		axes, _ := onnx.Attribute(n, "axes", []int64(nil))
		rank := n.In[0].Type.Rank()
		full := rank == len(axes)
		for i, a := range axes {
			full = full && int(a) == i
		}
		if !full {
			return need("axes are %v", axes)
		}
		n.Attrs = n.Attrs.Without("axes")
	}
	return attrsGone("antialias", 0, "keep_aspect_ratio_policy", "stretch")(nil, n)
}

func resize19Down(_ *converter, n *onnx.Node) error {
	if m, _ := onnx.Attribute(n, "coordinate_transformation_mode", "half_pixel"); m == "half_pixel_symmetric" {
		return need("coordinate_transformation_mode is %q", m)
	}
	return nil
}
