package gatewaytest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// BenchmarkCapture is one capture of a trade that it creates, without the
// network: what the simulator takes from a machine that it shares with what is
// measured.
func BenchmarkCapture(b *testing.B) {
	sim := gatewaytest.New(gatewaytest.Options{User: user, Secret: secret, AutoCreate: true, AllowEmptyNotifyURL: true})
	defer sim.Close()
	bodies := make([][]byte, 20_000)
	for i := range bodies {
		bodies[i] = body(user, secret, gateway.MethodCapture, captureData(fmt.Sprintf("T%d", i), "request_id", requestID(i)))
	}
	reader := bytes.NewReader(nil)
	r := httptest.NewRequest(http.MethodPost, gatewaytest.PaymentsPath, reader)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	next := 0
	for b.Loop() {
		if next == len(bodies) {
			sim.Reset()
			next = 0
		}
		reader.Reset(bodies[next])
		next++
		w.Body.Reset()
		sim.ServeHTTP(w, r)
	}
	if stats := sim.Stats(); stats.Others > 0 || stats.Effects != stats.Captures {
		b.Fatalf("not all calls captured: %+v", stats)
	}
}
