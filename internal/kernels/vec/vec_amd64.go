//go:build !noasm

package vec

import (
	"math"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-vec ./vec && cd ../vec && /tmp/gneiss-gen-vec && rm /tmp/gneiss-gen-vec"

func archTables() []*Table {
	var l []*Table
	if cpu.Found.AVX2 {
		l = append(l, avx2())
		if cpu.Found.AVX512 {
			l = append(l, avx512())
		}
	}
	return l
}

func avx2() *Table {
	t := generic
	t.Name = cpu.AVX2
	t.Exp = unary(exp256)
	t.Sigmoid = unary(sigmoid256)
	t.Tanh = unary(tanh256)
	t.Erf = unary(erf256)
	t.Gelu = unary(gelu256)
	t.GeluTanh = unary(geluTanh256)
	t.Softplus = unary(softplus256)
	t.Mish = unary(mish256)
	t.Log = unary(log256)
	t.Atan = unary(atan256)
	t.Asin = unary(asin256)
	t.Acos = unary(acos256)
	t.Sqrt = unary(sqrt256)
	t.Abs = unary(abs256)
	t.Neg = unary(neg256)
	t.Square = unary(square256)
	t.Reciprocal = unary(reciprocal256)
	t.Round = unary(round256)
	t.Floor = unary(floor256)
	t.Ceil = unary(ceil256)
	t.Trunc = unary(trunc256)
	t.HardSwish = unary(hardSwish256)
	t.Elu = unary1(elu256)
	t.LeakyRelu = unary1(leakyRelu256)
	t.Clip = unary2(clip256)
	t.HardSigmoid = unary2(hardSigmoid256)
	t.Affine = unary2(affine256)
	t.Swish = swish(unary1(swish256))
	t.Arith[Add] = Arith{
		binary(addVV256), unary1(addScalar256), swap(unary1(addScalar256)),
		rowsVV(addVV256), rowsVS(addVS256), flip(addVS256),
	}
	t.Arith[Sub] = Arith{
		binary(subVV256), negated(unary1(addScalar256)), swap(unary1(subFrom256)),
		rowsVV(subVV256), rowsVS(subVS256), rowsSV(subSV256),
	}
	t.Arith[Mul] = Arith{
		binary(mulVV256), unary1(mulScalar256), swap(unary1(mulScalar256)),
		rowsVV(mulVV256), rowsVS(mulVS256), flip(mulVS256),
	}
	t.Arith[Div] = Arith{
		binary(divVV256), unary1(divScalar256), swap(unary1(divInto256)),
		rowsVV(divVV256), rowsVS(divVS256), rowsSV(divSV256),
	}
	t.Arith[Max] = Arith{
		binary(maxVV256), keepNaN(unary1(maxScalar256)), swap(keepNaN(unary1(maxScalar256))),
		rowsVV(maxVV256), rowsVS(maxVS256), rowsSV(maxSV256),
	}
	t.Arith[Min] = Arith{
		binary(minVV256), keepNaN(unary1(minScalar256)), swap(keepNaN(unary1(minScalar256))),
		rowsVV(minVV256), rowsVS(minVS256), rowsSV(minSV256),
	}
	flat(&t)
	typed256(&t)
	t.Sum, t.SumAbs, t.Largest, t.Smallest = sumOf(sum256, sum), sumOf(sumAbs256, sumAbs), extreme(largest256, -inf), extreme(smallest256, inf)
	t.Sin, t.Cos = t.sinesOf(sines256)
	t.SumSquares, t.ExpSum = sumSquaresOf(sumSquares256), expSumOf(expSum256)
	t.Normalize = normalizeOf(norm256, normScale256, normScaleBias256)
	t.AddColumns, t.MaxColumns, t.MinColumns = columnsOf(addRows256), columnsOf(maxRows256), columnsOf(minRows256)
	t.ArgColumns = [NumArgs]argColumns{argColumnsOf(argMax256), argColumnsOf(argMin256), argColumnsOf(argMaxLast256), argColumnsOf(argMinLast256)}
	t.AddSquares = squaresOf(addSquares256)
	t.Adam = adamAVX2
	t.LSTMKeep, t.LSTMBack = lstmKeepOf(lstmKeep256), lstmBackOf(lstmBack256)
	t.LSTM, t.GRU, t.GRUReset, t.GRUBlend = lstmOf(lstm256), gruOf(gru256), gruResetOf(gruReset256), gruBlendOf(gruBlend256)
	return &t
}

func avx512() *Table {
	t := generic
	t.Name = cpu.AVX512
	t.Exp = unary(exp512)
	t.Sigmoid = unary(sigmoid512)
	t.Tanh = unary(tanh512)
	t.Erf = unary(erf512)
	t.Gelu = unary(gelu512)
	t.GeluTanh = unary(geluTanh512)
	t.Softplus = unary(softplus512)
	t.Mish = unary(mish512)
	t.Log = unary(log512)
	t.Atan = unary(atan512)
	t.Asin = unary(asin512)
	t.Acos = unary(acos512)
	t.Sqrt = unary(sqrt512)
	t.Abs = unary(abs512)
	t.Neg = unary(neg512)
	t.Square = unary(square512)
	t.Reciprocal = unary(reciprocal512)
	t.Round = unary(round512)
	t.Floor = unary(floor512)
	t.Ceil = unary(ceil512)
	t.Trunc = unary(trunc512)
	t.HardSwish = unary(hardSwish512)
	t.Elu = unary1(elu512)
	t.LeakyRelu = unary1(leakyRelu512)
	t.Clip = unary2(clip512)
	t.HardSigmoid = unary2(hardSigmoid512)
	t.Affine = unary2(affine512)
	t.Swish = swish(unary1(swish512))
	t.Arith[Add] = Arith{
		binary(addVV512), unary1(addScalar512), swap(unary1(addScalar512)),
		rowsVV(addVV512), rowsVS(addVS512), flip(addVS512),
	}
	t.Arith[Sub] = Arith{
		binary(subVV512), negated(unary1(addScalar512)), swap(unary1(subFrom512)),
		rowsVV(subVV512), rowsVS(subVS512), rowsSV(subSV512),
	}
	t.Arith[Mul] = Arith{
		binary(mulVV512), unary1(mulScalar512), swap(unary1(mulScalar512)),
		rowsVV(mulVV512), rowsVS(mulVS512), flip(mulVS512),
	}
	t.Arith[Div] = Arith{
		binary(divVV512), unary1(divScalar512), swap(unary1(divInto512)),
		rowsVV(divVV512), rowsVS(divVS512), rowsSV(divSV512),
	}
	t.Arith[Max] = Arith{
		binary(maxVV512), keepNaN(unary1(maxScalar512)), swap(keepNaN(unary1(maxScalar512))),
		rowsVV(maxVV512), rowsVS(maxVS512), rowsSV(maxSV512),
	}
	t.Arith[Min] = Arith{
		binary(minVV512), keepNaN(unary1(minScalar512)), swap(keepNaN(unary1(minScalar512))),
		rowsVV(minVV512), rowsVS(minVS512), rowsSV(minSV512),
	}
	flat(&t)
	typed512(&t)
	t.Sum, t.SumAbs, t.Largest, t.Smallest = sumOf(sum512, sum), sumOf(sumAbs512, sumAbs), extreme(largest512, -inf), extreme(smallest512, inf)
	t.Sin, t.Cos = t.sinesOf(sines512)
	t.SumSquares, t.ExpSum = sumSquaresOf(sumSquares512), expSumOf(expSum512)
	t.Normalize = normalizeOf(norm512, normScale512, normScaleBias512)
	t.AddColumns, t.MaxColumns, t.MinColumns = columnsOf(addRows512), columnsOf(maxRows512), columnsOf(minRows512)
	t.ArgColumns = [NumArgs]argColumns{argColumnsOf(argMax512), argColumnsOf(argMin512), argColumnsOf(argMaxLast512), argColumnsOf(argMinLast512)}
	t.AddSquares = squaresOf(addSquares512)
	t.Adam = adamAVX2
	t.LSTMKeep, t.LSTMBack = lstmKeepOf(lstmKeep512), lstmBackOf(lstmBack512)
	t.LSTM, t.GRU, t.GRUReset, t.GRUBlend = lstmOf(lstm512), gruOf(gru512), gruResetOf(gruReset512), gruBlendOf(gruBlend512)
	return &t
}

// sineNumbers are what sines256 and sines512 compute with, each as many times as a register of
// AVX2 holds: 1/pi, the half turns that come first, 1.5·2^52, which rounds to an integer when added,
// pi in two parts, 1, and the polynomial Q of sin r = r·(1 + r²·Q(r²)), |r| <= pi/2, constant first, whose
// largest relative error is 2.4e-11.
func sineNumbers(half float64) *[11][4]float64 {
	var t [11][4]float64
	for i, v := range [...]float64{1 / math.Pi, half, 3 << 51, 2 * halfPi, 2 * halfPiRest, 1,
		-0.16666666626107793, 0.008333331106775406, -0.00019840867963815482, 2.7525371462469196e-06, -2.3888675450599332e-08} {
		t[i] = [4]float64{v, v, v, v}
	}
	return &t
}

var sineTable, cosineTable = sineNumbers(0), sineNumbers(0.5)

// sinesOf makes Sin and Cos of a routine that does what sines does, for finite numbers below reducible:
// x is reduced to [-pi/2, pi/2] and half turns, cos x is sin(x + pi/2).
func (t *Table) sinesOf(f func(dst, x unsafe.Pointer, n int, numbers unsafe.Pointer)) (sin, cos func(dst, x []float32)) {
	smallest, largest := t.Smallest, t.Largest
	of := func(numbers *[11][4]float64, plain func(dst, x []float32)) func(dst, x []float32) {
		return func(dst, x []float32) {
			for x = x[:len(dst)]; len(dst) > 0; {
				n := min(len(dst), 2048) // what the bounds read is in the cache
				if largest(x[:n]) < reducible && smallest(x[:n]) > -reducible {
					f(at(dst), at(x), n, unsafe.Pointer(numbers))
				} else {
					plain(dst[:n], x[:n])
				}
				dst, x = dst[n:], x[n:]
			}
		}
	}
	return of(sineTable, t.Sin), of(cosineTable, t.Cos)
}

// adamMost is the number of elements of one call.
const adamMost = 2048

func adamAVX2(w2, w, g, m2, m, v2, v []float32, scale float32, r *AdamRates) {
	for n := len(w); n > 0; n = len(w) {
		k := min(n, adamMost)
		adam256(k, unsafe.Pointer(&w2[:k][0]), unsafe.Pointer(&w[0]), unsafe.Pointer(&g[:k][0]), unsafe.Pointer(&m2[:k][0]), unsafe.Pointer(&m[:k][0]),
			unsafe.Pointer(&v2[:k][0]), unsafe.Pointer(&v[:k][0]), unsafe.Pointer(r), scale)
		w2, w, g, m2, m, v2, v = w2[k:], w[k:], g[k:], m2[k:], m[k:], v2[k:], v[k:]
	}
}
