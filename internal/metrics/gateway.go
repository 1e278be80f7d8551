package metrics

import (
	"context"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/worker"
)

// Values of the label method.
const (
	methodCapture = "capture"
	methodQuery   = "query"
)

// otherCode replaces every undocumented code, so that the gateway cannot create
// series.
const otherCode = "other"

// codes are the documented codes of the gateway, the most frequent one first.
var codes = []string{
	capture.CodeSuccess, capture.CodeInternal, capture.CodeSignature, capture.CodeUser, capture.CodeFieldMissing,
	capture.CodeRequestID, capture.CodeWindowExceeded, capture.CodeAmountExceeded, capture.CodeCurrencyMismatch,
	capture.CodeTradeID,
}

// Gateway returns a gateway that counts its calls.
func (m *Metrics) Gateway(next worker.Gateway) worker.Gateway { return &countedGateway{next, m} }

type countedGateway struct {
	next worker.Gateway
	m    *Metrics
}

func (g *countedGateway) Capture(ctx context.Context, r gateway.CaptureRequest) capture.Answer {
	begin := time.Now()
	a := g.next.Capture(ctx, r)
	g.count(methodCapture, a, begin)
	return a
}

func (g *countedGateway) Query(ctx context.Context, tradeID string) capture.Answer {
	begin := time.Now()
	a := g.next.Query(ctx, tradeID)
	g.count(methodQuery, a, begin)
	return a
}

func (g *countedGateway) count(method string, a capture.Answer, begin time.Time) {
	g.m.calls.WithLabelValues(method, string(a.Kind)).Observe(time.Since(begin).Seconds())
	if a.OurFault() {
		g.m.faultCode.Store(a.Code)
	}
	code := a.Code
	if code == "" {
		return
	}
	if !slices.Contains(codes, code) {
		code = otherCode
	}
	g.m.codes.WithLabelValues(method, code).Inc()
}
