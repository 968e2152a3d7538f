package onnx

import "errors"

// ErrInvalid is wrapped by errors about files and graphs that are not valid ONNX.
var ErrInvalid = errors.New("invalid model")

// ErrLimit is wrapped by errors about files that exceed a limit of this package.
var ErrLimit = errors.New("over a limit")
