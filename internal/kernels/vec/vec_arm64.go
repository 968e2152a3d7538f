//go:build !noasm

package vec

import "github.com/gneiss-run/gneiss/internal/cpu"

// The assembly in vec_arm64.s reads and writes exactly n elements (of each row), at
// any alignment; dst may be an input. Strides are in bytes.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-vec ./vec && cd ../vec && /tmp/gneiss-gen-vec && rm /tmp/gneiss-gen-vec"

func archTables() []*Table {
	if !cpu.Found.NEON {
		return nil
	}
	return []*Table{neon()}
}

func neon() *Table {
	t := generic
	t.Name = cpu.NEON
	t.Exp = unary(expNEON)
	t.Sigmoid = unary(sigmoidNEON)
	t.Tanh = unary(tanhNEON)
	t.Erf = unary(erfNEON)
	t.Gelu = unary(geluNEON)
	t.GeluTanh = unary(geluTanhNEON)
	t.Softplus = unary(softplusNEON)
	t.Mish = unary(mishNEON)
	t.Log = unary(logNEON)
	t.Atan = unary(atanNEON)
	t.Asin = unary(asinNEON)
	t.Acos = unary(acosNEON)
	t.Sqrt = unary(sqrtNEON)
	t.Abs = unary(absNEON)
	t.Neg = unary(negNEON)
	t.Square = unary(squareNEON)
	t.Reciprocal = unary(reciprocalNEON)
	t.Round = unary(roundNEON)
	t.Floor = unary(floorNEON)
	t.Ceil = unary(ceilNEON)
	t.Trunc = unary(truncNEON)
	t.HardSwish = unary(hardSwishNEON)
	t.Elu = unary1(eluNEON)
	t.LeakyRelu = unary1(leakyReluNEON)
	t.Clip = unary2(clipNEON)
	t.HardSigmoid = unary2(hardSigmoidNEON)
	t.Affine = unary2(affineNEON)
	t.Swish = swish(unary1(swishNEON))
	t.Arith[Add] = Arith{
		binary(addVVNEON), unary1(addScalarNEON), swap(unary1(addScalarNEON)),
		rowsVV(addVVNEON), rowsVS(addVSNEON), flip(addVSNEON),
	}
	t.Arith[Sub] = Arith{
		binary(subVVNEON), negated(unary1(addScalarNEON)), swap(unary1(subFromNEON)),
		rowsVV(subVVNEON), rowsVS(subVSNEON), rowsSV(subSVNEON),
	}
	t.Arith[Mul] = Arith{
		binary(mulVVNEON), unary1(mulScalarNEON), swap(unary1(mulScalarNEON)),
		rowsVV(mulVVNEON), rowsVS(mulVSNEON), flip(mulVSNEON),
	}
	t.Arith[Div] = Arith{
		binary(divVVNEON), unary1(divScalarNEON), swap(unary1(divIntoNEON)),
		rowsVV(divVVNEON), rowsVS(divVSNEON), rowsSV(divSVNEON),
	}
	t.Arith[Max] = Arith{
		binary(maxVVNEON), keepNaN(unary1(maxScalarNEON)), swap(keepNaN(unary1(maxScalarNEON))),
		rowsVV(maxVVNEON), rowsVS(maxVSNEON), rowsSV(maxSVNEON),
	}
	t.Arith[Min] = Arith{
		binary(minVVNEON), keepNaN(unary1(minScalarNEON)), swap(keepNaN(unary1(minScalarNEON))),
		rowsVV(minVVNEON), rowsVS(minVSNEON), rowsSV(minSVNEON),
	}
	flat(&t)
	t.Sum, t.SumAbs, t.Largest, t.Smallest = sumOf(sumNEON, sum), sumOf(sumAbsNEON, sumAbs), extreme(largestNEON, -inf), extreme(smallestNEON, inf)
	t.SumSquares, t.ExpSum = sumSquaresOf(sumSquaresNEON), expSumOf(expSumNEON)
	t.Normalize = normalizeOf(normNEON, normScaleNEON, normScaleBiasNEON)
	t.AddColumns, t.MaxColumns, t.MinColumns = columnsOf(addRowsNEON), columnsOf(maxRowsNEON), columnsOf(minRowsNEON)
	t.AddSquares = squaresOf(addSquaresNEON)
	t.LSTMKeep, t.LSTMBack = lstmKeepOf(lstmKeepNEON), lstmBackOf(lstmBackNEON)
	t.LSTM, t.GRU, t.GRUReset, t.GRUBlend = lstmOf(lstmNEON), gruOf(gruNEON), gruResetOf(gruResetNEON), gruBlendOf(gruBlendNEON)
	return &t
}
