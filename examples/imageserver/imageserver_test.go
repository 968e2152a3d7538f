package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss"
	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/internal/leak"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMain(m *testing.M) { leak.Main(m) }

var bg = context.Background()

// A camera's JPEG is turned upright, unless it is to stay as it is stored.
func TestOrientation(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 30, 20)), nil))
	exif := "\xff\xd8\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
	turned := append([]byte(exif), b.Bytes()[2:]...)
	for orientation, want := range map[string]image.Point{"": {20, 30}, "exif": {20, 30}, "stored": {30, 20}} {
		lim := wide
		lim.orientation = orientation
		h := newServer(nil, lim, slog.New(slog.DiscardHandler))
		img, a := h.image(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/classify", bytes.NewReader(turned)))
		require.NotNil(t, img, a)
		require.Equal(t, want, img.Bounds().Size(), orientation)
	}
	err := run(bg, []string{"-model", "m.onnx", "-orientation", "up"}, io.Discard, io.Discard)
	require.ErrorContains(t, err, `-orientation is "up", want one of exif, stored`)
}

// colors returns a classifier of images of the given size: its classes are red,
// green, blue and dark. gate puts an operator in front that waits.
func colors(t testing.TB, size onnx.Dim, gate bool) *onnx.Model {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 21, "test": 1}}
	m.Graph = onnx.NewGraph("colors", m.Opsets)
	b := ops.NewBuilder(m.Graph)
	x := m.Graph.AddInput("image", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(3), size, size))
	v := x
	if gate {
		n := m.Graph.NewNodeIn("test", "Gate", nil, []*onnx.Value{x}, 1)
		n.Out[0].Type = x.Type
		b.Nodes = append(b.Nodes, n)
		v = n.Out[0]
	}
	w := []float32{2, -1, -1, -1, 2, -1, -1, -1, 2, -1, -1, -1} // float32[4,3,1,1]
	v = b.Op("Conv", nil, v, b.Const(tensor.Of(w, 4, 3, 1, 1)))
	v = b.Op("Flatten", nil, b.Op("GlobalAveragePool", nil, v))
	require.NoError(t, b.Err())
	b.Insert(nil)
	v.Name = "logits"
	m.Graph.Outputs = []*onnx.Value{v}
	return m
}

func save(t testing.TB, m *onnx.Model) string {
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{}))
	return path
}

func file(t testing.TB, text string) string {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func plain(w, h int, c color.Color) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, c)
		}
	}
	return m
}

func pngOf(t testing.TB, m image.Image) []byte {
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, m))
	return b.Bytes()
}

var red = color.NRGBA{255, 0, 0, 255}

// running is a program that was started by start.
type running struct {
	url    string
	client *http.Client
	stop   context.CancelFunc
	done   chan error // gets run's result
	log    *bytes.Buffer
}

// start starts the program on a free port and waits until it listens.
func start(t testing.TB, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(bg)
	r := &running{stop: cancel, done: make(chan error, 1), log: &bytes.Buffer{}}
	out, in := io.Pipe()
	go func() {
		err := run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), in, r.log)
		in.CloseWithError(err)
		r.done <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cancel()
		require.NoError(t, <-r.done)
	}
	r.url = strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
	r.client = client(t)
	t.Cleanup(cancel)
	return r
}

func client(t testing.TB) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// end stops the program and returns what run returned.
func (r *running) end(t testing.TB) error {
	t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not end")
		return nil
	}
}

type reply struct {
	status  int
	header  http.Header
	Results []result
	Error   string
	Status  string
}

func send(ctx context.Context, c *http.Client, method, url string, body io.Reader) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	r := &reply{status: resp.StatusCode, header: resp.Header}
	if err := json.NewDecoder(resp.Body).Decode(r); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return r, nil
}

func (r *running) post(t testing.TB, body []byte) *reply {
	t.Helper()
	a, err := send(bg, r.client, "POST", r.url+"/classify", bytes.NewReader(body))
	require.NoError(t, err)
	return a
}

func TestClassifies(t *testing.T) {
	r := start(t, "-model", save(t, colors(t, onnx.Size(32), false)), "-labels", file(t, "red\r\ngreen\nblue\ndark\n"), "-top", "3")
	a := r.post(t, pngOf(t, plain(50, 40, red)))
	require.Equal(t, 200, a.status)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.Len(t, a.Results, 3)
	require.Equal(t, 0, a.Results[0].Class)
	require.Equal(t, "red", a.Results[0].Label)
	// After normalisation red is (1-0.485)/0.229 and so on; the scores are 2r-g-b …
	v := [3]float64{(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225}
	s := v[0] + v[1] + v[2]
	sum := math.Exp(3*v[0]-s) + math.Exp(3*v[1]-s) + math.Exp(3*v[2]-s) + math.Exp(-s)
	require.InDelta(t, math.Exp(3*v[0]-s)/sum, a.Results[0].Score, 1e-5)
	require.GreaterOrEqual(t, a.Results[0].Score, a.Results[1].Score)

	var jpg bytes.Buffer
	require.NoError(t, jpeg.Encode(&jpg, plain(64, 200, color.NRGBA{0, 0, 255, 255}), nil))
	a = r.post(t, jpg.Bytes())
	require.Equal(t, "blue", a.Results[0].Label)
	require.NoError(t, r.end(t))
	require.Contains(t, r.log.String(), "status=200")
}

func TestRequestErrors(t *testing.T) {
	r := start(t, "-model", save(t, colors(t, onnx.Name("S"), false)), "-size", "16", "-max-body", "20000", "-max-pixels", "10000")
	whole := pngOf(t, plain(20, 20, red))
	for name, c := range map[string]struct {
		method, path string
		body         []byte
		status       int
		want         string
	}{
		"empty":   {"POST", "/classify", nil, 400, "empty"},
		"text":    {"POST", "/classify", []byte("hello"), 415, "neither a PNG nor a JPEG"},
		"cut":     {"POST", "/classify", whole[:len(whole)-20], 400, "damaged"},
		"head":    {"POST", "/classify", whole[:20], 400, "damaged"},
		"soi":     {"POST", "/classify", []byte("\xff\xd8\xff"), 400, "damaged"},
		"body":    {"POST", "/classify", make([]byte, 20001), 413, "20000 bytes"},
		"pixels":  {"POST", "/classify", pngOf(t, plain(101, 100, red)), 413, "101 by 100"},
		"method":  {"GET", "/classify", nil, 405, "GET"},
		"path":    {"POST", "/", whole, 404, "/classify"},
		"healthz": {"POST", "/healthz", nil, 405, "POST"},
	} {
		a, err := send(bg, r.client, c.method, r.url+c.path, bytes.NewReader(c.body))
		require.NoError(t, err, name)
		require.Equal(t, c.status, a.status, name)
		require.Contains(t, a.Error, c.want, name)
		if c.status == 405 {
			require.NotEmpty(t, a.header.Get("Allow"), name)
		}
	}
	a, err := send(bg, r.client, "GET", r.url+"/healthz", nil)
	require.NoError(t, err)
	require.Equal(t, "ok", a.Status)
	head, err := r.client.Head(r.url + "/healthz")
	require.NoError(t, err)
	require.NoError(t, head.Body.Close())
	require.Equal(t, 200, head.StatusCode)
	require.Empty(t, head.Header.Get("Allow"))
	require.Equal(t, 200, r.post(t, whole).status)
	require.NoError(t, r.end(t))
}

func TestArgumentErrors(t *testing.T) {
	good := save(t, colors(t, onnx.Size(8), false))
	mlp := filepath.Join("..", "..", "testdata", "models", "mlp_mnist", "model.onnx")
	transformer := filepath.Join("..", "..", "testdata", "models", "transformer_tiny", "model.onnx")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	for want, args := range map[string][]string{
		"-model is missing":       {},
		"unexpected argument":     {good},
		"flag provided but not":   {"-port", "1"},
		"no such file":            {"-model", "nowhere.onnx"},
		"want float32[1,3":        {"-model", mlp},
		"above 0":                 {"-model", good, "-top", "0"},
		"is above 65536":          {"-model", good, "-concurrency", "65537"},
		"2 labels for a model":    {"-model", good, "-labels", file(t, "a\nb\n")},
		"has no labels":           {"-model", good, "-labels", file(t, "\n")},
		`no value "scores"`:       {"-model", good, "-output", "scores"},
		"want 3 with":             {"-model", good, "-mean", "1,2"},
		`"x" is not a number`:     {"-model", good, "-std", "1,x,2"},
		"has a zero":              {"-model", good, "-std", "1,0,2"},
		"address already in use":  {"-model", good, "-addr", ln.Addr().String()},
		"missing port in address": {"-model", good, "-addr", "localhost"},
		"2 inputs, want one":      {"-model", transformer},
	} {
		err := run(bg, args, io.Discard, io.Discard)
		require.ErrorContains(t, err, want)
	}
	var help bytes.Buffer
	require.NoError(t, run(bg, []string{"-help"}, &help, io.Discard))
	require.Contains(t, help.String(), "-max-body")
}

// gated is a server around a model whose runs wait until they are let through
// or cancelled.
type gated struct {
	*running
	entered chan struct{} // gets one for each run that waits
	open    chan struct{} // lets one through, or all when closed
}

func gate(t testing.TB, lim limits, drain time.Duration) *gated {
	g := &gated{entered: make(chan struct{}, 100), open: make(chan struct{}, 100)}
	op := &ops.Op{Domain: "test", Name: "Gate", Versions: []ops.Version{{
		Since: 1, In: ops.N(1), Out: ops.N(1),
		Infer: func(c *ops.InferContext) error { c.Out[0] = c.In(0); return nil },
		Build: func(*ops.BuildContext) (ops.Kernel, error) {
			return func(c *ops.Call) error {
				c.SetOut(0, c.In[0])
				g.entered <- struct{}{}
				select {
				case <-g.open:
					return nil
				case <-c.Ctx().Done():
					return c.Ctx().Err()
				}
			}, nil
		},
	}}}
	s, err := runtime.New(colors(t, onnx.Size(8), true), gneiss.Options{Operators: []*ops.Op{op}, Threads: 2})
	require.NoError(t, err)
	g.open <- struct{}{} // for the run that newClassifier makes
	c, err := newClassifier(bg, s, classifierConfig{top: 1, std: [3]float32{1, 1, 1}})
	require.NoError(t, err)
	<-g.entered
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(bg)
	g.running = &running{url: "http://" + ln.Addr().String(), client: client(t), stop: cancel, done: make(chan error, 1), log: &bytes.Buffer{}}
	go func() {
		err := serve(ctx, ln, newServer(c, lim, slog.New(slog.NewTextHandler(g.log, nil))), drain)
		if e := s.Close(); e != nil {
			err = e
		}
		g.done <- err
	}()
	t.Cleanup(cancel)
	return g
}

var wide = limits{body: 1 << 20, pixels: 1 << 20, concurrency: 3, timeout: time.Minute}

func wait(t testing.TB, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing happens")
	}
}

// posts sends n requests at once and returns a channel of their replies.
func (g *gated) posts(t testing.TB, ctx context.Context, n int) <-chan *reply {
	out := make(chan *reply, n)
	body := pngOf(t, plain(9, 9, red))
	for range n {
		go func() {
			a, err := send(ctx, g.client, "POST", g.url+"/classify", bytes.NewReader(body))
			if err != nil {
				a = &reply{Error: err.Error()}
			}
			out <- a
		}()
	}
	return out
}

func TestConcurrencyIsBounded(t *testing.T) {
	g := gate(t, wide, time.Second)
	in := g.posts(t, bg, 3)
	for range 3 {
		wait(t, g.entered)
	}
	over := <-g.posts(t, bg, 1)
	require.Equal(t, 503, over.status)
	require.Equal(t, "1", over.header.Get("Retry-After"))
	require.Contains(t, over.Error, "3 requests are in progress")
	health, err := send(bg, g.client, "GET", g.url+"/healthz", nil)
	require.NoError(t, err)
	require.Equal(t, 200, health.status)
	close(g.open)
	for range 3 {
		require.Equal(t, 200, (<-in).status)
	}
	require.Equal(t, 200, (<-g.posts(t, bg, 1)).status)
	require.NoError(t, g.end(t))
}

func TestClientsThatLeaveCancelTheirRun(t *testing.T) {
	g := gate(t, wide, 30*time.Second)
	for range 4 { // more than there are slots
		ctx, cancel := context.WithCancel(bg)
		out := g.posts(t, ctx, 1)
		wait(t, g.entered)
		cancel()
		require.Contains(t, (<-out).Error, "context canceled")
	}
	// All slots become free, though no run was let through: shutting down has
	// nothing to wait for.
	start := time.Now()
	require.NoError(t, g.end(t))
	require.Less(t, time.Since(start), 20*time.Second)
}

func TestTimeout(t *testing.T) {
	lim := wide
	lim.timeout = 50 * time.Millisecond
	g := gate(t, lim, time.Second)
	a := <-g.posts(t, bg, 1)
	require.Equal(t, 503, a.status)
	require.Contains(t, a.Error, "took longer than 50ms")
	require.NoError(t, g.end(t))
}

func TestShutdownLetsRequestsEnd(t *testing.T) {
	g := gate(t, wide, 30*time.Second)
	in := g.posts(t, bg, 2)
	wait(t, g.entered)
	wait(t, g.entered)
	g.stop()
	require.Eventually(t, func() bool { // no new connections
		c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond)
	close(g.open)
	require.Equal(t, 200, (<-in).status)
	require.Equal(t, 200, (<-in).status)
	require.NoError(t, g.end(t))
}

func TestShutdownCancelsWhatIsLeft(t *testing.T) {
	g := gate(t, wide, 20*time.Millisecond)
	in := g.posts(t, bg, 2)
	wait(t, g.entered)
	wait(t, g.entered)
	start := time.Now()
	require.NoError(t, g.end(t))
	require.Less(t, time.Since(start), 20*time.Second)
	for range 2 {
		a := <-in
		require.Equal(t, 503, a.status)
		require.Contains(t, a.Error, "shuts down")
	}
	require.Contains(t, g.log.String(), "cancelling what is left")
}

func TestShutdownUnderLoad(t *testing.T) {
	r := start(t, "-model", save(t, colors(t, onnx.Size(64), false)), "-concurrency", "4")
	bodies := [][]byte{pngOf(t, plain(80, 90, red)), pngOf(t, plain(300, 70, color.NRGBA{0, 255, 0, 255}))}
	var wg sync.WaitGroup
	answered := make(chan int, 1000)
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				a, err := send(bg, r.client, "POST", r.url+"/classify", bytes.NewReader(bodies[i%2]))
				if err != nil {
					return // the server has gone
				}
				if a.status == 200 && (len(a.Results) != 4 || a.Results[0].Class != i%2) {
					t.Errorf("wrong answer: %+v", a)
				} else if a.status != 200 && a.status != 503 {
					t.Errorf("status %d: %s", a.status, a.Error)
				}
				answered <- a.status
			}
		})
	}
	for n := 0; n < 20; {
		if <-answered == 200 {
			n++
		}
	}
	require.NoError(t, r.end(t))
	wg.Wait()
}

// TestModel classifies with a real export and compares the scores with those
// of a run on the pixels that prepare made.
func TestModel(t *testing.T) {
	dir := shared.Models(t)
	path := filepath.Join(dir, "resnet50.script", "model.onnx")
	if _, err := os.Stat(path); err != nil {
		path = filepath.Join(dir, "mobilenet_v2.script", "model.onnx")
	}
	r := start(t, "-model", path, "-softmax=false")
	m := image.NewYCbCr(image.Rect(0, 0, 320, 240), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = uint8(i * 7)
	}
	var jpg bytes.Buffer
	require.NoError(t, jpeg.Encode(&jpg, m, nil))
	a := r.post(t, jpg.Bytes())
	require.Equal(t, 200, a.status, a.Error)
	require.Len(t, a.Results, 5)

	decoded, err := data.DecodeImage(jpg.Bytes(), "")
	require.NoError(t, err)
	x := make([]float32, 3*224*224)
	prepare(x, decoded, 224, 224, [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225})
	s, err := gneiss.Open(path, gneiss.Options{})
	require.NoError(t, err)
	defer s.Close()
	out, err := s.Run(bg, map[string]gneiss.Value{s.Inputs()[0].Name: gneiss.NewTensor(x, 1, 3, 224, 224)})
	require.NoError(t, err)
	logits := gneiss.Data[float32](out[s.Outputs()[0].Name].(*gneiss.Tensor))
	for _, c := range a.Results {
		require.InDelta(t, logits[c.Class], c.Score, 1e-4)
		higher := 0
		for _, v := range logits {
			if v > c.Score+1e-4 {
				higher++
			}
		}
		require.Less(t, higher, 5)
	}
	require.NoError(t, r.end(t))
}
