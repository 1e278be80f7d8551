package sim

import "time"

// dice gives the chances of one occasion: the n-th time that something happens
// to an activity. They depend on the seed and on nothing that happened before, so
// that taking one fault away leaves the others where they are. That is what
// makes a failure shrink.
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

// The independent throws of one occasion.
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
	saltLast // the first number that is free for counting on
)

func (d dice) bits(salt int) uint64 { return mix(uint64(d) + uint64(salt+1)*0x9e3779b97f4a7c15) }

// unit is a number from 0 to below 1.
func (d dice) unit(salt int) float64 { return float64(d.bits(salt)>>11) / (1 << 53) }

func (d dice) chance(salt int, p float64) bool { return d.unit(salt) < p }

func (d dice) pick(salt, n int) int { return int(d.bits(salt) % uint64(n)) }

// between is a duration from low to high, whole milliseconds.
func (d dice) between(salt int, low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return (low + time.Duration(d.unit(salt)*float64(high-low))).Truncate(time.Millisecond)
}
