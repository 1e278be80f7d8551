package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/config"
)

func loadEnv(t *testing.T, env ...string) config.Config {
	t.Helper()
	c, err := config.Load(config.Options{Env: func() []string { return env }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLaneList(t *testing.T) {
	t.Parallel()
	one := loadEnv(t).LaneList()
	if len(one) != 1 || one[0].Consumer != "capture-worker" || !slices.Equal(one[0].Subjects, []string{"capture.jobs.>"}) {
		t.Errorf("without lanes: %+v", one)
	}
	c := loadEnv(t, "CAPTURE_JOBS_SUBJECTS=a.x,a.y,b", "CAPTURE_JOBS_LANES=live=a.x a.y,batch=b", "CAPTURE_JOBS_WEIGHTS=live=4")
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	two := c.LaneList()
	if len(two) != 2 || two[0].Name != "batch" || two[0].Weight != 1 || two[1].Weight != 4 ||
		two[1].Consumer != "capture-worker-live" || !slices.Equal(two[1].Subjects, []string{"a.x", "a.y"}) {
		t.Errorf("lanes %+v", two)
	}
}

// A subject in no lane would have jobs without a consumer, one in two lanes
// jobs that are taken twice.
func TestLanesCoverTheSubjectsOnce(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, lanes, weights, says string }{
		{"a subject in no lane", "live=a", "", "b of jobs.subjects is in no lane"},
		{"a subject in two", "live=a b,batch=b", "", "b is in the lanes batch and live"},
		{"subjects that overlap", "live=a,batch=>", "", "> of lane batch and a of lane live overlap"},
		{"one that is no job's", "live=a b c", "", "c of lane live is not one of jobs.subjects"},
		{"a bad name", "Live!=a b", "", "must be named by"},
		{"weight of an unknown lane", "live=a b", "batch=2", "lane batch is not in jobs.lanes"},
		{"no weight", "live=a b", "live=much", "must be an integer"},
		{"zero weight", "live=a b", "live=0", "must be an integer"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			env := []string{"CAPTURE_JOBS_SUBJECTS=a,b", "CAPTURE_JOBS_LANES=" + tc.lanes}
			if tc.weights != "" {
				env = append(env, "CAPTURE_JOBS_WEIGHTS="+tc.weights)
			}
			err := loadEnv(t, env...).Validate()
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want it to say %q", err, tc.says)
			}
		})
	}
}
