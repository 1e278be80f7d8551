package gatewaytest

import (
	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

var queryWays = map[Fault]how{
	QueryHang: byHang, QueryReset: byReset, Query502: by502, QuerySlow: bySlowAnswer,
}

// unknownState is a state that the gateway does not document.
const unknownState capture.OrderState = "in_clearing"

// query runs one v3.QueryOrder and returns its answer.
func (s *Simulator) query(a *account, faults Faults) delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	step, scripted, ordinal := a.nextStep(OnQuery)
	d := newDice(s.opts.Seed, a.trade.TradeID, OnQuery, ordinal)
	if !scripted {
		step.Fault = d.fault(faults, OnQuery, saltFault)
	}
	if step.Fault != NoFault {
		s.stats.faults.Add(1)
	}
	record := Call{At: s.opts.Clock(), Method: gateway.MethodQueryOrder, Fault: step.Fault}
	out := delivery{how: queryWays[step.Fault]}
	switch step.Fault {
	case QueryError:
		step.Code = capture.CodeInternal
	case QueryNoTrade:
		step.Code = codeTradeID
	case QueryOddCode:
		step.Code = d.code(step.Fault)
	}
	switch {
	case step.Code != "":
		record.Code = step.Code
		out.body = failure(step.Code, d)
	case out.how == byAnswer || out.how == bySlowAnswer:
		record.Code = capture.CodeSuccess
		out.body = s.show(a, step, d)
	}
	s.record(a, func() Call { return record })
	return out
}

// show returns the body with the order of the trade.
func (s *Simulator) show(a *account, step Step, d dice) []byte {
	now := s.opts.Clock()
	view := now.Add(-s.settings.Load().queryLag)
	if step.Fault == QueryStale {
		view = now.Add(-s.opts.Timing.StaleBy)
	}
	state := a.stateAt(view, now, s.opts.AfterWindow)
	amount := a.trade.Amount
	if len(a.captures) > 0 && !a.captures[0].At.After(view) && s.opts.PartialAmount != ShowAuthorized {
		amount = a.captures[0].Amount
	}
	if step.Fault == QueryUnknownState {
		state = unknownState
	}
	if step.State != "" {
		state = step.State
	}
	info := queryInfo{
		order:     describe(a.trade, state, amount, d),
		CreatedAt: unixText(a.trade.AuthorizedAt),
	}
	if len(a.captures) > 0 && state == capture.OrderPaid {
		info.TransactionID = "tx" + orderID(a.trade.TradeID)
		info.PaidTime = unixText(a.captures[0].At)
	}
	return success(queryData{info}, d)
}
