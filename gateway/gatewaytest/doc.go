// Package gatewaytest is a simulator of the YabandPay gateway, for tests and trials. It
// keeps authorizations in memory, verifies signatures, enforces one capture per trade,
// the capture window, currency and amount, returns every published code, and sends
// notifications. It can fail in the ways that a client must survive, and reports
// afterwards what really happened to each trade.
//
//	sim := gatewaytest.New(gatewaytest.Options{User: "016683", Secret: "test-key"})
//	defer sim.Close()
//	server := httptest.NewServer(sim)
//	defer server.Close()
//	// the client's URL is server.URL + gatewaytest.PaymentsPath
//
// Nothing is stored on disk, and nothing is sent beyond this machine. Signatures are
// real; the secret key must not be one of a live account.
//
// # Faults
//
// Each fault has a probability. A capture or query call has at most one fault. Which
// one depends only on the seed, the trade, the method and the number of earlier calls
// of that method for the trade, so that a run can be repeated. Calls that fail before
// their trade is found (fields, user, signature, unknown trade) have no fault.
//
//	fault                of       what happens
//	error_before         capture  -1000; the capture did not take effect
//	error_after          capture  -1000; the capture took effect
//	error_late           capture  -1000; the capture lands within Timing.ErrorLateBy of the answer
//	refused              capture  a refusal of the gateway's table (-3001, -4084, -4085, -4089, -4024), though nothing is wrong; no effect
//	odd_code             capture  one of two codes that no page documents; no effect
//	hang_before          capture  no answer until the client goes away; no effect
//	hang_after           capture  no answer until the client goes away; took effect
//	reset_before         capture  the connection is reset; no effect
//	reset_after          capture  the connection is reset; took effect
//	truncated_before     capture  the answer (a -1000) breaks off half way; no effect
//	truncated_after      capture  the answer breaks off half way; took effect
//	html502_before       capture  HTTP 502 with a page of HTML; no effect
//	html502_after        capture  HTTP 502 with a page of HTML; took effect
//	status429_before     capture  HTTP 429 with Retry-After; no effect
//	status429_after      capture  HTTP 429 with Retry-After; took effect
//	late                 capture  the connection hangs or is reset now, the capture lands within Timing.LateBy
//	slow                 capture  the answer comes Timing.SlowBy later
//	pending              capture  accepted as pending, paid after Timing.PendingFor
//	query_error          query    -1000
//	query_hang           query    no answer until the client goes away
//	query_reset          query    the connection is reset
//	query_502            query    HTTP 502 with a page of HTML
//	query_stale          query    shows the state as it was Timing.StaleBy ago
//	query_unknown_state  query    shows a state that no page documents
//	query_no_trade       query    -4024, as if there were no such trade
//	query_odd_code       query    one of two codes that no page documents
//	query_slow           query    the answer comes Timing.SlowBy later
//	notify_early         notify   sent before the capture call is answered
//	notify_late          notify   sent Timing.NotifyLateBy after the capture
//	notify_twice         notify   sent, and sent again though it was accepted
//	notify_out_of_order  notify   an older state is sent after the newer one
//	notify_lost          notify   never sent
//	notify_forged        notify   besides the genuine one, if any: a lie with a bad signature
//
// "Before" means that the gateway did not run the capture, "after" that it did; a
// refused capture has no effect either way. A script (Trade.Script, Simulator.Script)
// sets the faults of the next calls of one trade. An outage (Down) affects every call.
//
// # Switches
//
// Behavior that could not be checked against the live gateway can be selected:
//
//	Options.RepeatedRequestID  replay, refuse (-4118), replay_error, rerun
//	Options.PartialAmount      Order Query shows the captured or the authorized amount
//	Options.SecondCapture      the code of another capture of a captured trade
//	Options.PartialCaptures    further captures take effect as long as the authorized sum allows
//	Options.AfterWindow        Order Query shows expired or authorized after the window
//	Options.Timing.QueryLag    how late Order Query sees what happened
//	Options.NotifyForm         one of the three forms of a notification, or any
//	Options.AutoCreate         an unknown trade is created by its capture
//	Options.ForgetCalls        calls are counted, not recorded
//
// A capture of a trade in a state other than authorized gets -4024, of an expired one
// -4089; an amount that is not a decimal gets -3001, an unknown method -1001. These are
// not published either. A request_id must be 24 to 64 letters and digits, as the
// gateway's page recommends. The time of a call is signed, but not compared with the
// clock.
//
// # Notifications
//
// A capture that took effect is notified at the notify_url of its call, to loopback
// hosts only, until the reply is "ok", six times at most. Notifications beyond the
// limits of the queue are dropped and counted.
//
// # Admin path
//
// For clients on the same machine; errors are {"error":"…"}:
//
//	POST /_sim/trades       add one trade or an array of trades
//	GET  /_sim/trades       every truth; ?captured=true|false, ?format=ndjson
//	GET  /_sim/trades/{id}  the truth of one trade
//	POST /_sim/script/{id}  add a step or an array of steps
//	GET  /_sim/faults       the faults, the outage, the latency, the lag and the refusal
//	POST /_sim/faults       change those named; "preset" sets all, "down" is
//	                        "reset", "hang", "502" or "" for up; "latency" is
//	                        waited before every answer, such as "20ms";
//	                        "query_lag" is how old every query's view is;
//	                        "refuse" is a code for every capture call, "" for none
//	POST /_sim/reset        remove all trades, request_ids and counts; the faults stay
//	GET  /_sim/stats        counts since the start or the last reset, and "at", the
//	                        time at which they were read
//
// A trade in JSON: trade_id, amount, currency, and optionally authorized_at,
// expires_at, state, script (an array of steps).
//
// A step in JSON is the name of a fault, such as "hang_after", or an object with on
// ("capture" or "query"), and one of fault (a name; "" or absent is no fault), code
// (answered without effect, such as "-4024") and state (what a query shows). In this
// example the next capture takes effect without an answer, and the query after it
// shows a wrong state:
//
//	curl -d '["hang_after",{"on":"query","state":"authorized"}]' $SIM/_sim/script/T1
//
// # Sources
//
// The facts about the gateway come from its published page of v3.Capture and its other
// published pages.
package gatewaytest
