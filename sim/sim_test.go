package sim_test

import (
	"flag"
	"os"
	"testing"

	"github.com/capture-worker/capture-worker/sim"
)

var (
	seeds = flag.Int("seeds", 2000, "how many seeds to run")
	start = flag.Uint64("start", 1, "the first of them")
)

func TestSeeds(t *testing.T) {
	rules := map[string]int{}
	ex := map[string]string{}
	for i := range *seeds {
		p := sim.NewPlan(*start + uint64(i))
		if r := sim.Run(p, nil); r.Violation != nil {
			rules[r.Violation.Rule]++
			if ex[r.Violation.Rule] == "" {
			  f, _ := os.Create("/tmp/sim-"+r.Violation.Rule+".txt")
			  sim.Run(p, f)
			  f.Close()
			}
			ex[r.Violation.Rule] += t.Name() +": "+ r.Violation.String()+ "\n"
		}
	}
	for k, v := range rules { t.Errorf("%s: %d, %.700s", k, v, ex[k]) }
}
