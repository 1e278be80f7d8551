package console

import (
	"cmp"
	"context"
	"math/big"
	"net/http"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/records"
)

const (
	todayHours  = 24
	sampleSize  = records.MaxLimit // events that the latency is read from
	chartHeight = 160
	barWidth    = 22
	barGap      = 8
)

// todayPage is the data of the page about today.
type todayPage struct {
	From    time.Time
	Money   []moneyRow
	Chart   chart
	Lanes   []Lane
	LaneErr string
	MayAct  bool
	Gateway gatewaySample
	Heat    heat
	Waiting int64 // dead letters are counted up to a page
}

// moneyRow is what happened to the money of a currency in the last hours.
type moneyRow struct {
	Currency                 string
	Captured, Failed, Parked records.Total
}

// chart is a bar for each hour.
type chart struct {
	Width, Height int
	Top           int64 // the largest hour
	Bars          []bar
}

// bar is one hour, from the bottom up.
type bar struct {
	X                        int
	Hour                     time.Time
	Label                    string // under every third bar
	Captured, Failed, Parked int64
	Parts                    []barPart
}

// barPart is one colour of a bar.
type barPart struct {
	Class  string
	Y, Len int
}

// gatewaySample is what the newest events say about the gateway.
type gatewaySample struct {
	Answers       int
	Unknown       int // answers that did not come, or said nothing
	Refused       int
	Median, Worst time.Duration // worst is the 95th percentile
	Since         time.Time
	Share         float64 // of Unknown, in percent
}

// heat is the money that expires, by span of time and currency.
type heat struct {
	Spans []string
	Rows  []heatRow
}

type heatRow struct {
	Currency string
	Cells    []heatCell
}

// heatCell has a level of 0 to 4 for its colour.
type heatCell struct {
	Total records.Total
	Level int
}

func (s *Server) today(w http.ResponseWriter, r *http.Request) {
	v := s.livePage(r, "Today", "today")
	ctx, now := r.Context(), s.now().UTC()
	page := todayPage{From: now.Truncate(time.Hour).Add(-(todayHours - 1) * time.Hour)}
	page.MayAct = !s.ReadOnly() && userOf(ctx).Role >= Operator
	hours, err := s.o.Records.Hours(ctx, page.From, todayHours)
	if err != nil {
		s.internal(w, r, "the outcomes of today", err)
		return
	}
	page.Money, page.Chart = moneyRows(hours.Items), chartOf(page.From, hours.Items)
	if page.Heat, err = s.heat(ctx, now); err != nil {
		s.internal(w, r, "the deadlines", err)
		return
	}
	last, err := s.o.Records.LastEvents(ctx, records.Page{Limit: sampleSize})
	if err != nil {
		s.internal(w, r, "the newest events", err)
		return
	}
	page.Gateway = sampleOf(last.Items)
	if s.o.Operations != nil {
		within, cancel := context.WithTimeout(ctx, lagTimeout)
		defer cancel()
		if page.Lanes, err = s.o.Operations.Lanes(within); err != nil {
			page.LaneErr = sentence(err.Error())
		}
		s.whoPaused(ctx, page.Lanes)
	}
	s.render(w, r, http.StatusOK, "today", v.with(page))
}

// whoPaused completes the lanes that are paused from the records of the acts.
func (s *Server) whoPaused(ctx context.Context, lanes []Lane) {
	pauses, err := s.o.Records.Acts(ctx, records.ActQuery{Act: acts.Pause}, records.Page{})
	if err != nil {
		return // the lanes are shown without
	}
	for i := range lanes {
		l := &lanes[i]
		at := slices.IndexFunc(pauses.Items, func(a records.Act) bool { return a.About == l.About && a.Failed == "" })
		if at >= 0 && !l.Paused.IsZero() {
			l.By, l.Note = pauses.Items[at].Actor, pauses.Items[at].Note
		}
	}
}

func moneyRows(sums []records.HourSum) []moneyRow {
	by := map[string]*moneyRow{}
	for _, sum := range sums {
		row := by[sum.Currency]
		if row == nil {
			row = &moneyRow{Currency: sum.Currency}
			by[sum.Currency] = row
		}
		switch sum.Phase {
		case capture.PhaseCaptured:
			row.Captured = plus(row.Captured, sum.Total)
		case capture.PhaseFailed:
			row.Failed = plus(row.Failed, sum.Total)
		case capture.PhaseParked:
			row.Parked = plus(row.Parked, sum.Total)
		}
	}
	rows := make([]moneyRow, 0, len(by))
	for _, row := range by {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b moneyRow) int {
		return cmp.Or(cmp.Compare(b.Captured.Trades, a.Captured.Trades), cmp.Compare(a.Currency, b.Currency))
	})
	return rows
}

// plus adds two sums of one currency, exactly.
func plus(a, b records.Total) records.Total {
	if a.Amount == "" {
		return b
	}
	x, okX := new(big.Rat).SetString(a.Amount)
	y, okY := new(big.Rat).SetString(b.Amount)
	if okX && okY {
		a.Amount = x.Add(x, y).FloatString(decimals(a.Amount))
	}
	a.Trades, a.Unsummed = a.Trades+b.Trades, a.Unsummed+b.Unsummed
	return a
}

func decimals(number string) int {
	if i := slices.Index([]byte(number), '.'); i >= 0 {
		return len(number) - i - 1
	}
	return 0
}

func chartOf(from time.Time, sums []records.HourSum) chart {
	c := chart{Width: todayHours*(barWidth+barGap) + barGap, Height: chartHeight}
	bars := make([]bar, todayHours)
	for _, sum := range sums {
		b := &bars[min(max(sum.Hour, 0), todayHours-1)]
		switch sum.Phase {
		case capture.PhaseCaptured:
			b.Captured += sum.Total.Trades
		case capture.PhaseFailed:
			b.Failed += sum.Total.Trades
		case capture.PhaseParked:
			b.Parked += sum.Total.Trades
		}
	}
	for _, b := range bars {
		c.Top = max(c.Top, b.Captured+b.Failed+b.Parked)
	}
	for i := range bars {
		b := &bars[i]
		b.X, b.Hour = barGap+i*(barWidth+barGap), from.Add(time.Duration(i)*time.Hour)
		if i%3 == 2 {
			b.Label = b.Hour.Format("15:04")
		}
		y := chartHeight
		for _, part := range []struct {
			class string
			n     int64
		}{{"captured", b.Captured}, {"failed", b.Failed}, {"parked", b.Parked}} {
			if part.n == 0 {
				continue
			}
			length := max(int(part.n*(chartHeight-10)/max(c.Top, 1)), 2)
			y -= length
			b.Parts = append(b.Parts, barPart{"bar-" + part.class, y, length})
		}
	}
	c.Bars = bars
	return c
}

// heatBounds are the ends of the spans of the heat map, from now.
var heatBounds = []struct {
	name string
	end  time.Duration
}{
	{"over", 0}, {"in 24 h", 24 * time.Hour}, {"in 2 days", 48 * time.Hour}, {"in 3 days", 72 * time.Hour},
	{"in a week", 7 * 24 * time.Hour}, {"in 2 weeks", 14 * 24 * time.Hour},
}

func (s *Server) heat(ctx context.Context, now time.Time) (heat, error) {
	var h heat
	var bounds []time.Time
	for _, b := range heatBounds {
		h.Spans, bounds = append(h.Spans, b.name), append(bounds, now.Add(b.end))
	}
	h.Spans = append(h.Spans, "later")
	due, err := s.o.Records.Due(ctx, bounds...)
	if err != nil {
		return h, err
	}
	by := map[string]int{}
	for _, d := range due.Items {
		at, ok := by[d.Currency]
		if !ok {
			at = len(h.Rows)
			by[d.Currency] = at
			h.Rows = append(h.Rows, heatRow{Currency: d.Currency, Cells: make([]heatCell, len(h.Spans))})
		}
		// The nearer the deadline, the warmer.
		h.Rows[at].Cells[d.Span] = heatCell{Total: d.Total, Level: max(4-d.Span, 1)}
	}
	slices.SortFunc(h.Rows, func(a, b heatRow) int { return cmp.Compare(a.Currency, b.Currency) })
	return h, nil
}

// sampleOf reads the gateway's answers from events.
func sampleOf(events []records.Event) gatewaySample {
	var g gatewaySample
	var took []time.Duration
	for _, e := range events {
		event, err := capture.DecodeEvent(e.Raw)
		if err != nil || event.Answer == nil {
			continue
		}
		g.Answers, g.Since = g.Answers+1, event.Time
		switch event.Answer.Kind {
		case capture.AnswerUnknown, capture.AnswerNotSent:
			g.Unknown++
		case capture.AnswerRefused:
			g.Refused++
		}
		if event.Answer.Latency > 0 {
			took = append(took, event.Answer.Latency)
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		g.Median, g.Worst = took[len(took)/2], took[len(took)*95/100]
	}
	if g.Answers > 0 {
		g.Share = 100 * float64(g.Unknown) / float64(g.Answers)
	}
	return g
}
