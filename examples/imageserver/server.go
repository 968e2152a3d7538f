package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // decoders of the formats that are served
	_ "image/png"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gneiss-run/gneiss/data"
)

// server answers the requests.
type server struct {
	c        *classifier
	lim      limits
	log      *slog.Logger
	slots    chan struct{} // full: as many requests in progress as may be
	draining atomic.Bool
}

func newServer(c *classifier, lim limits, log *slog.Logger) *server {
	return &server{c: c, lim: lim, log: log, slots: make(chan struct{}, lim.concurrency)}
}

// answer is what a request gets: a status and a value to send as JSON.
type answer struct {
	status int
	body   any
}

type failure struct {
	Error string `json:"error"`
}

func fail(status int, format string, args ...any) answer {
	return answer{status, failure{fmt.Sprintf(format, args...)}}
}

// ServeHTTP routes by hand, so that wrong paths and methods get JSON too.
func (h *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	a := h.route(w, r)
	if a.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // fails when nobody listens any more
	if r.URL.Path != "/healthz" {
		h.log.Info("request", "method", r.Method, "path", r.URL.Path, "status", a.status, "time", time.Since(start))
	}
}

func (h *server) route(w http.ResponseWriter, r *http.Request) answer {
	switch r.URL.Path {
	case "/healthz":
		if a, ok := methods(w, r, http.MethodGet, http.MethodHead); !ok {
			return a
		}
		if h.draining.Load() {
			return answer{http.StatusServiceUnavailable, map[string]string{"status": "shutting down"}}
		}
		return answer{http.StatusOK, map[string]string{"status": "ok"}}
	case "/classify":
		if a, ok := methods(w, r, http.MethodPost); !ok {
			return a
		}
		return h.classify(w, r)
	}
	return fail(http.StatusNotFound, "no such path: %s; there are /classify and /healthz", r.URL.Path)
}

// methods reports whether r has one of the methods, and what to answer if not.
func methods(w http.ResponseWriter, r *http.Request, allowed ...string) (answer, bool) {
	if slices.Contains(allowed, r.Method) {
		return answer{}, true
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	a := fail(http.StatusMethodNotAllowed, "method %s is not allowed for %s", r.Method, r.URL.Path)
	return a, false
}

func (h *server) classify(w http.ResponseWriter, r *http.Request) answer {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return fail(http.StatusServiceUnavailable, "%d requests are in progress, the most that this server takes", cap(h.slots))
	}
	start := time.Now()
	img, a := h.image(w, r)
	if img == nil {
		return a
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.lim.timeout)
	defer cancel()
	results, err := h.c.classify(ctx, img)
	switch {
	case err == nil:
		return answer{http.StatusOK, struct {
			Results      []result `json:"results"`
			Milliseconds float64  `json:"milliseconds"`
		}{results, float64(time.Since(start).Microseconds()) / 1000}}
	case r.Context().Err() != nil:
		return fail(http.StatusServiceUnavailable, "the client has left or the server shuts down")
	case errors.Is(err, context.DeadlineExceeded):
		return fail(http.StatusServiceUnavailable, "took longer than %v", h.lim.timeout)
	}
	h.log.Error("the model failed", "error", err)
	return fail(http.StatusInternalServerError, "the model failed")
}

// image reads and decodes the body of r; the image is nil where the answer is
// an error.
func (h *server) image(w http.ResponseWriter, r *http.Request) (image.Image, answer) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.lim.body))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return nil, fail(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", large.Limit)
	} else if err != nil {
		return nil, fail(http.StatusBadRequest, "reading the body: %v", err)
	}
	if len(body) == 0 {
		return nil, fail(http.StatusBadRequest, "the body is empty, want a PNG or JPEG file")
	}
	cfg, format, err := image.DecodeConfig(bytes.NewReader(body)) // the size, before memory for it is taken
	if errors.Is(err, image.ErrFormat) || format != "png" && format != "jpeg" {
		return nil, fail(http.StatusUnsupportedMediaType, "the body is neither a PNG nor a JPEG file")
	} else if err != nil {
		return nil, fail(http.StatusBadRequest, "damaged image: %v", err)
	}
	if cfg.Width < 1 || cfg.Height < 1 {
		return nil, fail(http.StatusBadRequest, "the image has no pixels: %d by %d", cfg.Width, cfg.Height)
	}
	if int64(cfg.Width)*int64(cfg.Height) > int64(h.lim.pixels) {
		return nil, fail(http.StatusRequestEntityTooLarge, "the image is %d by %d, more than %d pixels", cfg.Width, cfg.Height, h.lim.pixels)
	}
	img, err := data.DecodeImage(body, h.lim.orientation)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "damaged image: %v", err)
	}
	return img, answer{}
}
