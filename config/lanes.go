package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/capture-worker/capture-worker/internal/subject"
)

// Lane is a kind of jobs with its own consumer and share of the gateway.
type Lane struct {
	Name     string // "" if there are no lanes
	Consumer string // durable consumer
	Subjects []string
	Weight   int
}

// Label returns the name of the lane for commands and text: "all" if it has none.
func (l Lane) Label() string {
	if l.Name == "" {
		return "all"
	}
	return l.Name
}

// LaneList returns the lanes sorted by name, or one lane without a name that takes
// all jobs if jobs.lanes is empty. The configuration has to be valid.
func (c Config) LaneList() []Lane {
	if len(c.Jobs.Lanes) == 0 {
		return []Lane{{Consumer: c.Jobs.Consumer, Subjects: c.Jobs.Subjects, Weight: 1}}
	}
	var list []Lane
	for _, name := range slices.Sorted(maps.Keys(c.Jobs.Lanes)) {
		weight := 1
		if text, named := c.Jobs.Weights[name]; named {
			weight, _ = strconv.Atoi(text) // Validate has checked that it is a number
		}
		list = append(list, Lane{
			Name: name, Consumer: c.Jobs.Consumer + "-" + name, Subjects: strings.Fields(c.Jobs.Lanes[name]), Weight: weight,
		})
	}
	return list
}

var laneName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

const maxWeight = 1000

// lanes checks that each of jobs.subjects is in exactly one lane: otherwise its jobs
// are not processed, or twice.
func (v *checker) lanes() {
	j := v.c.Jobs
	in := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(j.Lanes)) {
		if !laneName.MatchString(name) {
			v.add("jobs.lanes", fmt.Sprintf("lane %q must be named by a-z, 0-9 and -", name), "")
		}
		for _, s := range strings.Fields(j.Lanes[name]) {
			if other, twice := in[s]; twice {
				v.add("jobs.lanes", s+" is in the lanes "+other+" and "+name, "keep it in one")
			}
			for _, earlier := range slices.Sorted(maps.Keys(in)) {
				if earlier != s && in[earlier] != name && subject.Overlap(earlier, s) {
					v.add("jobs.lanes", fmt.Sprintf("%s of lane %s and %s of lane %s overlap: both would take the same jobs", earlier, in[earlier], s, name), "use disjoint subjects")
				}
			}
			in[s] = name
			if !slices.Contains(j.Subjects, s) {
				v.add("jobs.lanes", s+" of lane "+name+" is not one of jobs.subjects", "name the same subjects in both")
			}
		}
	}
	if len(j.Lanes) > 0 {
		for _, s := range j.Subjects {
			if in[s] == "" {
				v.add("jobs.lanes", s+" of jobs.subjects is in no lane, so its jobs are not processed", "put it in one")
			}
		}
	}
	v.weights()
}

func (v *checker) weights() {
	for _, name := range slices.Sorted(maps.Keys(v.c.Jobs.Weights)) {
		text := v.c.Jobs.Weights[name]
		if _, ok := v.c.Jobs.Lanes[name]; !ok {
			v.add("jobs.weights", "lane "+name+" is not in jobs.lanes", "name a lane of jobs.lanes")
		}
		if n, err := strconv.Atoi(text); err != nil || n < 1 || n > maxWeight {
			v.add("jobs.weights", fmt.Sprintf("weight %q of lane %s must be an integer from 1 to %d", text, name, maxWeight), "")
		}
	}
}
