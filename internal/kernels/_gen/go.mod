module github.com/gneiss-run/gneiss/internal/kernels/_gen

go 1.26.0
