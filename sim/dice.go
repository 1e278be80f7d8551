package sim

import "time"

// dice is the source of random numbers for one occasion: the n-th time that
// something happens to an activity. They depend only on the seed and the occasion,
// so removing one fault does not change the others. Shrinking a failure needs that.
type dice uint64

func newDice(seed uint64, at place, who, ordinal int) dice {
	x := mix(seed + 0x9e3779b97f4a7c15)
	x = mix(x ^ uint64(at)<<48 ^ uint64(who)<<24 ^ uint64(ordinal))
	return dice(x)
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// The independent random choices of one occasion.
const (
	saltFault = iota
	saltWay
	saltBack
	saltHow
	saltLong
	saltWho
	saltStall
	saltMore
	saltShape
	saltAmount
	saltTime
	saltKind
	saltExtra
	saltLast // the first free number
)

func (d dice) bits(salt int) uint64 { return mix(uint64(d) + uint64(salt+1)*0x9e3779b97f4a7c15) }

// unit returns a number from 0 to below 1.
func (d dice) unit(salt int) float64 { return float64(d.bits(salt)>>11) / (1 << 53) }

func (d dice) chance(salt int, p float64) bool { return d.unit(salt) < p }

func (d dice) pick(salt, n int) int { return int(d.bits(salt) % uint64(n)) }

// between returns a duration from low to high, in milliseconds.
func (d dice) between(salt int, low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return (low + time.Duration(d.unit(salt)*float64(high-low))).Truncate(time.Millisecond)
}
