package gatewaytest

import (
	"hash/fnv"
	"strconv"

	"github.com/capture-worker/capture-worker/capture"
)

// dice is the source of the random choices of one call. They depend only on the seed, the
// trade, the method and the number of earlier calls of that method for the trade, so that
// a run can be repeated independently of the order of goroutines.
type dice uint64

func newDice(seed uint64, tradeID string, on Target, ordinal int) dice {
	h := fnv.New64a()
	h.Write([]byte(strconv.FormatUint(seed, 16) + "/" + string(on) + "/" + strconv.Itoa(ordinal) + "/" + tradeID))
	return dice(h.Sum64())
}

// bits returns random bits for a salt. It uses the finalizer of splitmix64, because the
// high bits of FNV are alike for similar inputs.
func (d dice) bits(salt uint64) uint64 {
	x := uint64(d) + (salt+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit returns a number in [0, 1).
func (d dice) unit(salt uint64) float64 { return float64(d.bits(salt)>>11) / (1 << 53) }

func (d dice) pick(salt uint64, n int) int { return int(d.bits(salt) % uint64(n)) }

// The salts of the independent choices of one call.
const (
	saltFault = iota
	saltNotify
	saltForged
	saltForm
	saltDelay
	saltCode
	saltData
	saltAmount
	saltHang
	saltResponse
	saltRefusal
)

// code returns a code for a refusal without a reason.
func (d dice) code(f Fault) string {
	codes := []string{"-7777", "-8888"}
	if f == Refused {
		codes = []string{
			capture.CodeFieldMissing, capture.CodeAmountExceeded, capture.CodeCurrencyMismatch,
			capture.CodeWindowExceeded, capture.CodeTradeID,
		}
	}
	return codes[d.pick(saltRefusal, len(codes))]
}

// fault chooses one of the faults of a target, in the order of Knobs.
func (d dice) fault(f Faults, on Target, salt uint64) Fault {
	if len(f) == 0 {
		return NoFault
	}
	u := d.unit(salt)
	for _, k := range knobs {
		if k.On != on || k.Name == NotifyForged {
			continue
		}
		if u -= f[k.Name]; u < 0 {
			return k.Name
		}
	}
	return NoFault
}
