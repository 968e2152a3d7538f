package train

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

// A student learns what its teacher knows from samples without labels.
func TestDistillation(t *testing.T) {
	teacher := ringTrainer(t, nil)
	_, err := teacher.Fit(context.Background(), FitOptions{Train: &Loader{Dataset: rings(t, 600, 1), Shuffle: true}, Epochs: 12})
	require.NoError(t, err)
	s, err := runtime.New(teacher.Model(), runtime.Options{Threads: 1})
	require.NoError(t, err)
	defer s.Close()
	unlabelled := Arrays{"x": rings(t, 600, 8)["x"]}
	d, err := WithTeacher(unlabelled, s, map[string]string{"y": TeacherInput})
	require.NoError(t, err)
	student, err := New(perceptron(t, nn.Linear{Out: 12}, nn.ReLU, nn.Linear{Out: 2}), Config{Loss: Distillation{Temperature: 2}, Optimizer: Adam{LR: 0.03}, Threads: 1})
	require.NoError(t, err)
	defer student.Close()
	_, err = student.Fit(context.Background(), FitOptions{Train: &Loader{Dataset: d, Shuffle: true}, Epochs: 15})
	require.NoError(t, err)
	out, err := student.Evaluate(context.Background(), rings(t, 300, 9))
	require.NoError(t, err)
	m := &Accuracy{}
	require.NoError(t, m.Add(out["y"], rings(t, 300, 9)["target"]))
	require.Greater(t, m.Value(), 0.9)

	_, err = WithTeacher(unlabelled, s, map[string]string{"z": TeacherInput})
	require.ErrorContains(t, err, `no output "z"`)
	_, err = New(perceptron(t, nn.Linear{Out: 2}), Config{Loss: Distillation{Hard: CrossEntropy{}}, Optimizer: Adam{LR: 1}})
	require.ErrorContains(t, err, "alpha in (0, 1]")
}

// The loss is its formula.
func TestDistillationLoss(t *testing.T) {
	tr, err := New(perceptron(t, nn.Linear{Out: 2, Init: nn.Ones}), Config{Loss: Distillation{Hard: CrossEntropy{}, Temperature: 2, Alpha: 0.75},
		Optimizer: SGD{LR: 1e-9}, Threads: 1})
	require.NoError(t, err)
	defer tr.Close()
	x := map[string]*tensor.Tensor{"x": tensor.Of([]float32{1, 2}, 1, 2)}
	out, err := tr.Evaluate(context.Background(), x)
	require.NoError(t, err)
	y := tensor.Data[float32](out["y"])
	x["target"], x[TeacherInput] = tensor.Of([]int64{1}, 1), tensor.Of([]float32{1, -1}, 1, 2)
	loss, err := tr.Step(context.Background(), x)
	require.NoError(t, err)
	soft := func(a, b, t float64) (float64, float64) {
		e, f := math.Exp(a/t), math.Exp(b/t)
		return e / (e + f), f / (e + f)
	}
	p0, p1 := soft(1, -1, 2)
	q0, q1 := soft(float64(y[0]), float64(y[1]), 2)
	_, h := soft(float64(y[0]), float64(y[1]), 1)
	require.InDelta(t, 0.75*4*(p0*math.Log(p0/q0)+p1*math.Log(p1/q1))+0.25*-math.Log(h), loss, 1e-5)
}
