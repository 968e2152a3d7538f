package ops

// QLinearConv (com.microsoft) is QLinearConv or, with channels_last, what it is
// on tensors with the channels last, where the layout of w stays.
//
//	x: u8 or i8 [n, c, d…] ([n, d…, c] with channels_last)    x_scale, x_zero_point: one
//	w: u8 or i8 [m, c/group, k…]    w_scale, w_zero_point: one or [m]
//	y: type of y_zero_point [n, m, e…] ([n, e…, m])    B: int32 [m]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearConv
func init() {
	inferLastConv := inferLast(inferQLinearConv)
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearConv", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: Arity{8, 9}, Out: N(1),
			Infer: func(c *InferContext) error {
				if c.Bool("channels_last", false) {
					return inferLastConv(c)
				}
				return inferQLinearConv(c)
			},
			Build: func(b *BuildContext) (Kernel, error) {
				if b.Bool("channels_last", false) {
					return buildLastQLinearConv(b, &lastQConv{})
				}
				return buildQLinearConv(b)
			},
		}},
	})
}
