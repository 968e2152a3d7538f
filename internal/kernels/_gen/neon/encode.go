package neon

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// How the arrangement of the operands shows in a word.
const (
	logical = iota // not at all
	integer        // size in bits 22 and 23
	float          // 64-bit lanes in bit 22
)

type form struct {
	base uint32 // with lanes of 16 bytes in all
	kind int
}

// three are the instructions on three vectors of the same arrangement.
var three = map[string]form{
	"fadd": {0x4e20d400, float}, "fsub": {0x4ea0d400, float}, "fmul": {0x6e20dc00, float}, "fdiv": {0x6e20fc00, float},
	"fmla": {0x4e20cc00, float}, "fmls": {0x4ea0cc00, float}, "fmax": {0x4e20f400, float}, "fmin": {0x4ea0f400, float},
	"fmaxnm": {0x4e20c400, float}, "fminnm": {0x4ea0c400, float}, "faddp": {0x6e20d400, float},
	"fcmeq": {0x4e20e400, float}, "fcmge": {0x6e20e400, float}, "fcmgt": {0x6ea0e400, float},
	"add": {0x4e208400, integer}, "sub": {0x6e208400, integer}, "mul": {0x4e209c00, integer}, "mla": {0x4e209400, integer}, "mls": {0x6e209400, integer},
	"smax": {0x4e206400, integer}, "smin": {0x4e206c00, integer}, "umax": {0x6e206400, integer}, "umin": {0x6e206c00, integer},
	"addp": {0x4e20bc00, integer}, "cmeq": {0x6e208c00, integer}, "cmgt": {0x4e203400, integer}, "cmge": {0x4e203c00, integer},
	"cmhi": {0x6e203400, integer}, "cmhs": {0x6e203c00, integer}, "cmtst": {0x4e208c00, integer},
	"sqadd": {0x4e200c00, integer}, "uqadd": {0x6e200c00, integer}, "sqsub": {0x4e202c00, integer}, "uqsub": {0x6e202c00, integer},
	"sshl": {0x4e204400, integer}, "ushl": {0x6e204400, integer},
	"and": {0x4e201c00, logical}, "bic": {0x4e601c00, logical}, "orr": {0x4ea01c00, logical}, "eor": {0x6e201c00, logical},
	"bsl": {0x6e601c00, logical}, "bit": {0x6ea01c00, logical}, "bif": {0x6ee01c00, logical},
	"zip1": {0x4e003800, integer}, "zip2": {0x4e007800, integer}, "uzp1": {0x4e001800, integer}, "uzp2": {0x4e005800, integer},
	"trn1": {0x4e002800, integer}, "trn2": {0x4e006800, integer},
}

// long are those whose result, or first operand too, has lanes twice as wide.
var long = map[string]uint32{
	"smull": 0x0e20c000, "umull": 0x2e20c000, "smlal": 0x0e208000, "umlal": 0x2e208000, "smlsl": 0x0e20a000,
	"saddl": 0x0e200000, "uaddl": 0x2e200000, "ssubl": 0x0e202000, "usubl": 0x2e202000,
	"saddw": 0x0e201000, "uaddw": 0x2e201000, "ssubw": 0x0e203000, "usubw": 0x2e203000,
}

// two are the instructions on a vector and its result.
var two = map[string]form{
	"fneg": {0x6ea0f800, float}, "fabs": {0x4ea0f800, float}, "fsqrt": {0x6ea1f800, float},
	"frintn": {0x4e218800, float}, "frintm": {0x4e219800, float}, "frintp": {0x4ea18800, float}, "frintz": {0x4ea19800, float},
	"fcvtns": {0x4e21a800, float}, "fcvtzs": {0x4ea1b800, float}, "scvtf": {0x4e21d800, float}, "ucvtf": {0x6e21d800, float},
	"frecpe": {0x4ea1d800, float}, "neg": {0x6e20b800, integer}, "abs": {0x4e20b800, integer},
	"mvn": {0x6e205800, logical}, "cnt": {0x4e205800, logical}, "rev64": {0x4e200800, integer},
}

// narrow are those whose result has lanes half as wide; wider, twice as wide,
// pairs added up.
var (
	narrow = map[string]uint32{"xtn": 0x0e212800, "sqxtn": 0x0e214800, "uqxtn": 0x2e214800, "sqxtun": 0x2e212800}
	wider  = map[string]uint32{"saddlp": 0x4e202800, "uaddlp": 0x6e202800, "sadalp": 0x4e206800, "uadalp": 0x6e206800}
	// zeros compare with 0.
	zeros = map[string]form{
		"fcmeq": {0x4ea0d800, float}, "fcmgt": {0x4ea0c800, float}, "fcmge": {0x6ea0c800, float}, "fcmle": {0x6ea0d800, float}, "fcmlt": {0x4ea0e800, float},
		"cmeq": {0x4e209800, integer}, "cmlt": {0x4e20a800, integer}, "cmgt": {0x4e208800, integer}, "cmge": {0x6e208800, integer},
	}
	// across reduce a vector to a scalar.
	across = map[string]uint32{
		"fmaxv": 0x6e30f800, "fminv": 0x6eb0f800, "fmaxnmv": 0x6e30c800, "fminnmv": 0x6eb0c800,
		"addv": 0x4e31b800, "saddlv": 0x4e303800, "uaddlv": 0x6e303800, "smaxv": 0x4e30a800, "umaxv": 0x6e30a800,
	}
	// element takes one lane of the last operand.
	element = map[string]uint32{
		"fmla": 0x4f801000, "fmls": 0x4f805000, "fmul": 0x4f809000, "sdot": 0x4f80e000, "udot": 0x6f80e000,
		"smlal": 0x0f402000, "umlal": 0x2f402000, "smull": 0x0f40a000, "umull": 0x2f40a000, "mla": 0x6f000000, "mul": 0x4f008000,
	}
	// shifts are by an immediate number: left, or right.
	shifts     = map[string]uint32{"shl": 0x4f005400, "sli": 0x6f005400, "sshr": 0x4f000400, "ushr": 0x6f000400, "ssra": 0x4f001400, "usra": 0x6f001400, "sri": 0x6f004400}
	longShifts = map[string]uint32{"sshll": 0x0f00a400, "ushll": 0x2f00a400}
	scalars    = map[string]uint32{
		"fadd": 0x1e202800, "fsub": 0x1e203800, "fmul": 0x1e200800, "fdiv": 0x1e201800, "fmax": 0x1e204800, "fmin": 0x1e205800,
		"fmaxnm": 0x1e206800, "fminnm": 0x1e207800,
	}
)

var (
	vecReg  = regexp.MustCompile(`^v(\d+)\.(16b|8b|8h|4h|4s|2s|2d|1d)$`)
	laneReg = regexp.MustCompile(`^v(\d+)\.(4b|b|h|s|d)\[(\d+)\]$`)
	sclReg  = regexp.MustCompile(`^([bhsdqxw])(\d+)$`)
	memory  = regexp.MustCompile(`^\[x(\d+)(?:, (#-?\d+|x\d+(?:, lsl #\d)?))?\](?:, (#-?\d+))?$`)
	tableOf = regexp.MustCompile(`^\{v(\d+)\.16b\}?$`)
	listOf  = regexp.MustCompile(`^\{v(\d+)\.(16b|8b|8h|4h|4s|2s|2d|1d|b|h|s|d)(?:[^}]*)\}(?:\[(\d+)\])?, \[x(\d+)\](?:, #(\d+))?$`)
)

// vreg is a vector register: lanes of 1<<size bytes, 16 bytes of them if full.
type vreg struct {
	n, size uint32
	full    bool
}

func (v vreg) q() uint32 {
	if v.full {
		return 1 << 30
	}
	return 0
}

func parseVec(s string) (vreg, bool) {
	m := vecReg.FindStringSubmatch(s)
	if m == nil {
		return vreg{}, false
	}
	size := uint32(strings.Index("bhsd", m[2][len(m[2])-1:]))
	count, _ := strconv.Atoi(m[2][:len(m[2])-1])
	return vreg{num(m[1]), size, count<<size == 16}, true
}

func num(s string) uint32 {
	n, _ := strconv.ParseInt(strings.TrimPrefix(s, "#"), 0, 64)
	return uint32(n)
}

// Encode returns the word of one instruction.
func Encode(s string) (word uint32, err error) {
	op, rest, _ := strings.Cut(s, " ")
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("neon: cannot encode %q", s)
		}
	}()
	switch op {
	case "ldr", "str", "ldur", "stur":
		return transfer(op, rest), nil
	case "ldp", "stp":
		return pair(op, rest), nil
	case "ld1", "st1", "ld2", "st2", "ld4", "st4", "ld1r", "ld3":
		return lists(op, rest), nil
	case "prfm":
		return prefetch(rest), nil
	}
	return compute(op, split(rest)), nil
}

// split cuts operands at the commas.
func split(s string) []string {
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func must(ok bool) {
	if !ok {
		panic("no such form")
	}
}

func vec(s string) vreg {
	v, ok := parseVec(s)
	must(ok)
	return v
}

func scalar(s, kinds string) uint32 {
	m := sclReg.FindStringSubmatch(s)
	must(m != nil && strings.Contains(kinds, m[1]))
	return num(m[2])
}

func lane(s string) (reg, size, index uint32) {
	m := laneReg.FindStringSubmatch(s)
	must(m != nil)
	if m[2] == "4b" {
		return num(m[1]), 2, num(m[3])
	}
	return num(m[1]), uint32(strings.Index("bhsd", m[2])), num(m[3])
}

func (f form) word(v vreg) uint32 {
	w := f.base&^(1<<30) | v.q()
	switch f.kind {
	case integer:
		w |= v.size << 22
	case float:
		must(v.size >= 2)
		w |= (v.size - 2) << 22
	}
	return w
}

func compute(op string, o []string) uint32 {
	upper := uint32(0) // the form on the upper half of its operand
	stem := strings.TrimSuffix(op, "2")
	if stem != op {
		upper = 1 << 30
	}
	last := o[len(o)-1]
	d, isVec := parseVec(o[0])
	switch {
	case op == "tbl" || op == "tbx":
		m := tableOf.FindStringSubmatch(o[1])
		w := uint32(0x0e000000) | d.q() | vec(last).n<<16 | uint32(len(o)-3)<<13 | num(m[1])<<5 | d.n
		if op == "tbx" {
			w |= 1 << 12
		}
		return w
	case len(o) == 3 && isVec && laneReg.MatchString(last):
		return byElement(stem, upper, d, vec(o[1]), last)
	case op == "sdot" || op == "udot":
		w := uint32(0x0e809400) | d.q()
		if op == "udot" {
			w |= 1 << 29
		}
		return w | vec(last).n<<16 | vec(o[1]).n<<5 | d.n
	case len(o) == 3 && isVec && strings.HasPrefix(last, "#"):
		return shift(op, stem, upper, d, vec(o[1]), num(last))
	case op == "ext":
		return 0x2e000000 | d.q() | vec(o[2]).n<<16 | num(o[3])<<11 | vec(o[1]).n<<5 | d.n
	case len(o) == 3 && isVec:
		n, m := vec(o[1]), vec(o[2])
		if base, ok := long[stem]; ok && d.size == m.size+1 {
			return base | upper | m.size<<22 | m.n<<16 | n.n<<5 | d.n
		}
		f, ok := three[op]
		must(ok)
		return f.word(d) | m.n<<16 | n.n<<5 | d.n
	case len(o) == 3:
		kind := uint32(strings.Index("sd", o[0][:1]))
		return scalars[op] | kind<<22 | scalar(last, "sd")<<16 | scalar(o[1], "sd")<<5 | scalar(o[0], "sd")
	}
	return unary(op, stem, upper, o)
}

// unary encodes instructions with one source.
func unary(op, stem string, upper uint32, o []string) uint32 {
	src := o[1]
	d, isVec := parseVec(o[0])
	if !isVec {
		return fromLane(op, o[0], src)
	}
	if op == "movi" || op == "fmov" {
		must(op == "movi" && strings.HasPrefix(src, "#"))
		imm := num(src)
		must(imm < 256)
		w := uint32(0x0f000400) | d.q() | imm>>5<<16 | imm&31<<5 | d.n
		switch d.size {
		case 0:
			return w | 0xe<<12
		case 1:
			return w | 0x8<<12
		}
		return w
	}
	if m := sclReg.FindStringSubmatch(src); m != nil { // dup
		must(op == "dup")
		return 0x0e000c00 | d.q() | 1<<d.size<<16 | num(m[2])<<5 | d.n
	}
	if laneReg.MatchString(src) {
		must(op == "dup")
		n, size, i := lane(src)
		return 0x0e000400 | d.q() | (2*i+1)<<size<<16 | n<<5 | d.n
	}
	if len(o) == 3 {
		panic("zero compares are written with two operands and z")
	}
	n := vec(src)
	if base, ok := narrow[stem]; ok && n.size == d.size+1 {
		return base | upper | d.size<<22 | n.n<<5 | d.n
	}
	if base, ok := wider[op]; ok {
		return base&^(1<<30) | n.q() | n.size<<22 | n.n<<5 | d.n
	}
	switch stem {
	case "fcvtl":
		return 0x0e217800 | upper | (n.size-1)<<22 | n.n<<5 | d.n
	case "fcvtn":
		return 0x0e216800 | upper | (d.size-1)<<22 | n.n<<5 | d.n
	case "mov":
		return 0x0ea01c00 | d.q() | n.n<<16 | n.n<<5 | d.n
	}
	f, ok := two[op]
	must(ok)
	return f.word(d) | n.n<<5 | d.n
}

// fromLane encodes what has a scalar as its result, and moves into lanes.
func fromLane(op, dst, src string) uint32 {
	if laneReg.MatchString(dst) {
		must(op == "mov")
		d, size, i := lane(dst)
		if m := sclReg.FindStringSubmatch(src); m != nil {
			return 0x4e001c00 | (2*i+1)<<size<<16 | num(m[2])<<5 | d
		}
		n, _, j := lane(src)
		return 0x6e000400 | (2*i+1)<<size<<16 | j<<size<<11 | n<<5 | d
	}
	if base, ok := across[op]; ok {
		n := vec(src)
		if op[0] == 'f' {
			return base | n.n<<5 | scalar(dst, "s")
		}
		return base&^(1<<30) | n.q() | n.size<<22 | n.n<<5 | scalar(dst, "bhsd")
	}
	switch {
	case op == "faddp":
		return 0x7e30d800 | vec(src).n<<5 | scalar(dst, "s")
	case op == "mov" && laneReg.MatchString(src) && dst[0] == 's':
		n, size, i := lane(src)
		return 0x5e000400 | (2*i+1)<<size<<16 | n<<5 | scalar(dst, "s")
	case op == "umov" && dst[0] == 'w':
		n, size, i := lane(src)
		return 0x0e003c00 | (2*i+1)<<size<<16 | n<<5 | scalar(dst, "w")
	case op == "fmov" && dst[0] == 's' && src[0] == 'w':
		return 0x1e270000 | scalar(src, "w")<<5 | scalar(dst, "s")
	case op == "fmov" && dst[0] == 'w' && src[0] == 's':
		return 0x1e260000 | scalar(src, "s")<<5 | scalar(dst, "w")
	case op == "fmov" && dst[0] == 's' && src[0] == 's':
		return 0x1e204000 | scalar(src, "s")<<5 | scalar(dst, "s")
	case op == "fcvt" && dst[0] == 'd' && src[0] == 's':
		return 0x1e22c000 | scalar(src, "s")<<5 | scalar(dst, "d")
	case op == "fcvt" && dst[0] == 'h' && src[0] == 's':
		return 0x1e23c000 | scalar(src, "s")<<5 | scalar(dst, "h")
	case op == "fcvt" && dst[0] == 's' && src[0] == 'h':
		return 0x1ee24000 | scalar(src, "h")<<5 | scalar(dst, "s")
	}
	panic("no such form")
}

func byElement(stem string, upper uint32, d, n vreg, last string) uint32 {
	m, size, i := lane(last)
	base, ok := element[stem]
	must(ok)
	w := base | upper | n.n<<5 | d.n
	switch {
	case strings.HasSuffix(stem, "dot"):
		return w&^(1<<30) | d.q() | m<<16 | i&1<<21 | i>>1<<11
	case stem[0] == 'f':
		w = w&^(1<<30) | d.q()
		if size == 3 {
			return w | 1<<22 | m<<16 | i<<11
		}
		return w | m<<16 | i&1<<21 | i>>1<<11
	}
	if stem == "mla" || stem == "mul" {
		w = w&^(1<<30) | d.q() | size<<22
	} else {
		w = w&^(3<<22) | size<<22
	}
	if size == 1 {
		must(m < 16)
		return w | m<<16 | i&1<<20 | i>>1&1<<21 | i>>2<<11
	}
	return w | m<<16 | i&1<<21 | i>>1<<11
}

func shift(op, stem string, upper uint32, d, n vreg, by uint32) uint32 {
	if f, ok := zeros[op]; ok {
		must(by == 0)
		return f.word(d) | n.n<<5 | d.n
	}
	if base, ok := longShifts[stem]; ok {
		return base | upper | (8<<n.size+by)<<16 | n.n<<5 | d.n
	}
	if stem == "shrn" || stem == "sqrshrn" || stem == "sqshrun" {
		return map[string]uint32{"shrn": 0x0f008400, "sqrshrn": 0x0f009c00, "sqshrun": 0x2f008400}[stem] | upper | (16<<d.size-by)<<16 | n.n<<5 | d.n
	}
	base, ok := shifts[op]
	must(ok)
	imm := 16<<d.size - by
	if op == "shl" || op == "sli" {
		imm = 8<<d.size + by
	}
	return base&^(1<<30) | d.q() | imm<<16 | n.n<<5 | d.n
}

// transfer encodes loads and stores of one register.
func transfer(op, rest string) uint32 {
	reg, mem, _ := strings.Cut(rest, ", ")
	m := memory.FindStringSubmatch(mem)
	must(m != nil)
	log := map[byte]uint32{'b': 0, 'h': 1, 's': 2, 'd': 3, 'q': 4, 'w': 2, 'x': 3}[reg[0]]
	r := scalar(reg, "bhsdqwx")
	w := log&3<<30 | 1<<26 | log>>2<<23
	if reg[0] == 'w' || reg[0] == 'x' {
		w = log << 30
	}
	if op[0] == 'l' {
		w |= 1 << 22
	}
	base := num(m[1]) << 5
	unscaled := func(i string, bits uint32) uint32 {
		n := int32(num(i))
		must(n >= -256 && n < 256)
		return w | 0x38000000 | uint32(n)&511<<12 | bits<<10 | base | r
	}
	switch {
	case op == "ldur" || op == "stur":
		return unscaled(m[2], 0)
	case m[3] != "":
		must(m[2] == "")
		return unscaled(m[3], 1)
	case strings.HasPrefix(m[2], "x"):
		index, by, scaled := strings.Cut(m[2], ", lsl #")
		w |= 0x38206800 | num(index[1:])<<16
		if scaled {
			must(num(by) == log)
			w |= 1 << 12
		}
		return w | base | r
	}
	n := num(m[2])
	must(n&(1<<log-1) == 0 && n>>log < 4096)
	return w | 0x39000000 | n>>log<<10 | base | r
}

func pair(op, rest string) uint32 {
	parts := strings.SplitN(rest, ", ", 3)
	m := memory.FindStringSubmatch(parts[2])
	must(m != nil && parts[0][0] == parts[1][0])
	log := map[byte]uint32{'s': 2, 'd': 3, 'q': 4}[parts[0][0]]
	w := (log-2)<<30 | 0x2d000000
	off := m[2]
	if m[3] != "" {
		must(m[2] == "")
		w, off = (log-2)<<30|0x2c800000, m[3]
	}
	if op == "ldp" {
		w |= 1 << 22
	}
	n := int32(num(off))
	must(n&(1<<log-1) == 0 && n>>log >= -64 && n>>log < 64)
	return w | uint32(n>>log)&127<<15 | scalar(parts[1], "sdq")<<10 | num(m[1])<<5 | scalar(parts[0], "sdq")
}

// lists encodes loads and stores of lists of registers and of lanes.
func lists(op, rest string) uint32 {
	m := listOf.FindStringSubmatch(rest)
	must(m != nil)
	r, base := num(m[1]), num(m[4])<<5
	load := uint32(0)
	if op[0] == 'l' {
		load = 1 << 22
	}
	if m[5] != "" {
		base |= 0x1f<<16 | 1<<23
	}
	if m[3] != "" {
		i := num(m[3])
		w := 0x0d000000 | load | base | r
		switch m[2] {
		case "b":
			return w | i>>3<<30 | i&7<<10
		case "h":
			return w | 0x4000 | i>>2<<30 | i&3<<11
		case "s":
			return w | 0x8000 | i>>1<<30 | i&1<<12
		}
		return w | 0x8400 | i<<30
	}
	v := vec("v0." + m[2])
	if op == "ld1r" {
		return 0x0d40c000 | v.q() | v.size<<10 | base | r
	}
	regs := uint32(strings.Count(rest, "v"))
	code := map[string]uint32{"1 1": 7, "1 2": 10, "1 3": 6, "1 4": 2, "2 2": 8, "3 3": 4, "4 4": 0}[op[2:]+" "+strconv.Itoa(int(regs))]
	return 0x0c000000 | v.q() | load | code<<12 | v.size<<10 | base | r
}

func prefetch(rest string) uint32 {
	kind, mem, _ := strings.Cut(rest, ", ")
	m := memory.FindStringSubmatch(mem)
	must(m != nil && m[3] == "")
	n := num(m[2])
	must(n&7 == 0 && n>>3 < 4096)
	return 0xf9800000 | map[string]uint32{"pldl1keep": 0, "pldl2keep": 2}[kind] | n>>3<<10 | num(m[1])<<5
}
