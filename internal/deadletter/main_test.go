package deadletter_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }
