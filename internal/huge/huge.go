// Package huge asks for large pages for memory that is read again and again: the
// processor translates their addresses with fewer entries, and the system makes
// hundreds of pages in one step.
package huge

// Least is the number of bytes below which Advise does nothing.
const Least = 4 << 20
