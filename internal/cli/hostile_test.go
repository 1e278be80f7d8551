package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/service"
	"github.com/capture-worker/capture-worker/ledger"
)

// hostileTexts are what untrusted clients may write wherever they can.
var hostileTexts = []string{
	"\x1b[2J\x1b[31mred", "\x1b]0;title\a", "\x1b]8;;http://x\x1b\\link", "\u009b31mred", "\x7f\b\b\bback", "bell\a",
	"a\rFORGED line", "a\nFORGED line", "a\r\nFORGED line", "a\u2028FORGED", "a\u0085FORGED line", "a\vFORGED\fline",
	"a\tb\tc", "\ttab first", "EUR \u202e99.42", "\u2066isolate\u2069", "\u200bzero width", "soft\u00adhyphen", "\ufeffmark",
	"=HYPERLINK(\"http://x\")", " =1+1", "\u00a0=1", "\u3000+1", "+1-1", "-2+3", "@SUM(A1)", "＝1+1", "＋1", "－1", "＠SUM",
	"\u200b=1", "\x00=1", "\r=1", "\n=1", "|cmd", "%0A", "\xff\xfe broken", "\xe2\x80", "\U000e0041tag", "\uffff",
	strings.Repeat("long ", 200), `"quoted", 'text'`, "a,b;c", "<b>&amp;", "\\u001b[31m",
}

// hostile is an environment whose every text is hostile.
type hostile struct {
	t    *testing.T
	js   jetstream.JetStream
	one  string // a file with a job
	jobs string
	csv  string
	seen map[string]bool // commands

	texts []string
}

// Whatever is in messages, events, notes and files, no command prints a character that
// controls a terminal, a line that is not its own, or a formula.
func TestCommandsPrintHostileTexts(t *testing.T) {
	processtest.Long(t)
	printHostile(t, hostileTexts)
}

// The same with one text of each kind.
func TestCommandsPrintSomeHostileTexts(t *testing.T) {
	printHostile(t, []string{"\x1b[2J\u202e", "a\r\nFORGED line", "\u00a0＝1\tb"})
}

func printHostile(t *testing.T, texts []string) {
	h := newHostile(t, texts)
	for i, text := range texts {
		h.letters(i, text)
		h.trade(fmt.Sprintf("P-%d", i), capture.Parked, text)
		h.trade(fmt.Sprintf("F-%d", i), capture.Failed, text)
		h.trade(fmt.Sprintf("O-%d", i), "", text)
		h.job(text)
	}
	processtest.WaitFor(t, processtest.Patience, "the stream of cases has all parked trades", func() bool {
		var out bytes.Buffer
		run(t.Context(), []string{"parked", "list", "--dismissed", "-o", "json"}, strings.NewReader(""), &out, io.Discard)
		return bytes.Count(out.Bytes(), []byte("\n")) >= len(texts)
	})
	for _, output := range []string{"table", "csv", "json"} {
		h.run("dlq list", "--all", "-o", output)
		h.run("parked list", "--dismissed", "-o", output)
		h.run("acts list", "--since", "1d", "--limit", "1000", "-o", output)
		h.run("parked list", "--open", "--older-than", "1ns", "-o", output)
		h.run("reconcile", "--all", "--rate", "0", "--min-age", "1ns", "-o", output)
	}
	for i, text := range texts {
		h.run("dlq show", fmt.Sprint(3*i+1))
		h.run("dlq republish", fmt.Sprint(3*i+1), "--fixed", h.one, "--dry-run", "--again", "--reason", "why", "--replace-trade", "--subject", "capture.jobs.shipped")
		for _, kind := range []string{"P", "F", "O"} {
			h.run("show", fmt.Sprintf("%s-%d", kind, i))
		}
		h.run("show", fmt.Sprintf("P-%d", i), "-o", "json")
		h.run("parked show", fmt.Sprintf("P-%d", i))
		h.run("parked dismiss", fmt.Sprintf("F-%d", i), "--reason", "why")
		h.run("withdraw", fmt.Sprintf("P-%d", i), "--reason", "why")
		if !strings.Contains(text, "\x00") { // no program can be given it
			h.run("show", "--order", text)
			h.run("dlq list", "--order", text, "--trade", text, "--reason", text)
			h.run("lane pause", text)
			h.run("withdraw", "--order", text, "--reason", "why")
			h.run("resume", "--code", text, "--for", "1h")
			h.run("publish", "--subject", text, h.csv)
		}
	}
	h.run("show", "--order", "A-none")
	h.run("dlq dismiss", "--only", "conflict", "--reason", "why")
	h.run("dlq republish", "--only", "conflict", "--reason", "why")
	h.run("parked release", "--only", "unresolved", "--reason", "why", "--dry-run", "--rate", "0")
	h.run("retry", "--reason-code", "trade_incorrect", "--reason", "why", "--dry-run", "--rate", "0")
	for _, output := range []string{"text", "ndjson"} {
		h.run("jobs try", h.jobs, "-o", output)
		h.run("jobs try", h.csv, "-o", output)
	}
	h.run("publish", h.csv, "--dry-run")
	h.run("publish", h.jobs, "--dry-run", "--skip-bad")
	h.run("reconcile", "--input", h.csv, "--rate", "0")
	h.run("export", "--month", time.Now().UTC().Format("2006-01"), "--output", "-")
	h.run("check")
	h.run("lane list")
	h.fromRecords()
	h.everyCommand()
}

// fromRecords runs the commands that read the records.
func (h *hostile) fromRecords() {
	h.t.Setenv("CAPTURE_RECORDS_DSN", filepath.Join(h.t.TempDir(), "records.db"))
	h.run("records rebuild")
	for _, output := range []string{"table", "csv", "json"} {
		h.run("records sums", "--month", time.Now().UTC().Format("2006-01"), "--daily", "-o", output)
		h.run("parked list", "--dismissed", "-o", output)
		h.run("parked list", "--open", "--older-than", "1ns", "-o", output)
	}
	for _, text := range h.texts {
		if !strings.Contains(text, "\x00") {
			h.run("show", "--order", text)
			h.run("dlq list", "--order", text, "--all")
		}
	}
}

// untouched are the commands that print nothing of others, with the reason.
var untouched = map[string]string{
	"run": "it logs, and its log is written by slog through the same writer", "demo": "it has an environment of its own",
	"gateway-sim": "it prints its address", "config": "it prints the configuration", "config lint": "it prints the configuration",
	"config schema": "it prints our own", "config example": "it prints our own", "version": "it prints our own",
	"lane resume": "it prints the name of a lane that is configured", "records": "it logs", "records rebuild": "it prints counts",
	"records status": "it prints counts", "archive restore": "it prints counts",
	"archive verify": "it prints counts, and names of objects through the writer that escapes",
	"console":        "its pages are tried with hostile texts in package console",
}

// everyCommand fails for a command that neither ran nor is listed.
func (h *hostile) everyCommand() {
	var walk func(*cobra.Command, string)
	walk = func(cmd *cobra.Command, path string) {
		for _, sub := range cmd.Commands() {
			name := strings.TrimSpace(path + " " + sub.Name())
			if sub.Name() == "help" || sub.Name() == "completion" {
				continue
			}
			if _, listed := untouched[name]; !listed && !sub.HasSubCommands() && !h.seen[name] {
				h.t.Errorf("%s was not run with hostile texts: run it, or list why not", name)
			}
			walk(sub, name)
		}
	}
	walk(newRootCmd(&app{}), "")
}

func newHostile(t *testing.T, texts []string) *hostile {
	t.Helper()
	server, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	nc, err := nats.Connect(server.URL(), nats.Timeout(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	h := &hostile{t: t, texts: texts, seen: map[string]bool{}}
	if h.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience)); err != nil {
		t.Fatal(err)
	}
	if err := service.CreateStreams(t.Context(), config.Defaults(), h.js, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	streams, mapping := service.Streams(config.Defaults()), capture.Mapping{}
	streams.Mapping = &mapping
	if _, err := jobstream.Ensure(t.Context(), h.js, streams); err != nil {
		t.Fatal(err)
	}
	sim := gatewaytest.New(gatewaytest.Options{User: simUser, Secret: simSecret})
	front := httptest.NewServer(sim)
	t.Cleanup(func() { front.Close(); sim.Close() })
	for name, value := range map[string]string{
		"CAPTURE_NATS_URL": server.URL(), "CAPTURE_GATEWAY_URL": front.URL + gatewaytest.PaymentsPath, "CAPTURE_GATEWAY_USER": simUser,
		"CAPTURE_GATEWAY_SECRET_KEY": simSecret, "CAPTURE_GATEWAY_NOTIFY_URL": "https://shop.example/notify", "CAPTURE_ADMIN_LISTEN": "off",
	} {
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	t.Setenv("CAPTURE_TEST", "") // restores it; it is no setting
	if err := os.Unsetenv("CAPTURE_TEST"); err != nil {
		t.Fatal(err)
	}
	h.files()
	return h
}

// body is a job with the text wherever a text may stand.
func body(trade, text string) []byte {
	b, err := json.Marshal(map[string]any{
		"trade_id": trade, "amount": "1.00", "currency": "EUR", "order_id": text, "description": text, text: text,
	})
	if err != nil {
		panic(err) // not reached: these are texts
	}
	return b
}

// files writes jobs and a sheet with hostile texts in each cell.
func (h *hostile) files() {
	var lines, table bytes.Buffer
	sheet := csv.NewWriter(&table)
	_ = sheet.Write([]string{"trade_id", "amount", "currency", "order_id", "description", "\x1b[31mcolumn\u202e"})
	for i, text := range h.texts {
		fmt.Fprintf(&lines, "%s\n%s\n", body(fmt.Sprintf("J-%d", i), text), body(text, text))
		_ = sheet.Write([]string{fmt.Sprintf("S-%d", i), "1.00", "EUR", text, text, text})
		_ = sheet.Write([]string{text, text, text, text, text, text})
	}
	sheet.Flush()
	folder := h.t.TempDir()
	h.one, h.jobs, h.csv = filepath.Join(folder, "one.ndjson"), filepath.Join(folder, "jobs.ndjson"), filepath.Join(folder, "sheet.csv")
	for path, content := range map[string][]byte{h.one: body("J-1", "\u202eA\x1b"), h.jobs: lines.Bytes(), h.csv: table.Bytes()} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *hostile) publish(m *nats.Msg) {
	if _, err := h.js.PublishMsg(h.t.Context(), m); err != nil {
		h.t.Fatal(err)
	}
}

// letters stores a dead letter that cannot be read, one of a conflict, and what an
// operator did about the first.
func (h *hostile) letters(i int, text string) {
	m := nats.NewMsg(deadletter.SubjectPrefix + "not_json")
	m.Data = []byte(text + "\r\nFORGED line\n\tdone     dismissed by ann\n" + text)
	for _, name := range []string{deadletter.HeaderDetail, deadletter.HeaderSubject, deadletter.HeaderStream, deadletter.HeaderReason, "X-Own"} {
		m.Header.Set(name, text)
	}
	h.publish(m)
	m = nats.NewMsg(deadletter.SubjectPrefix + deadletter.ReasonConflict)
	m.Data = body(fmt.Sprintf("P-%d", i), text)
	m.Header.Set(deadletter.HeaderDetail, text)
	h.publish(m)
	store := deadletter.Store{JS: h.js, Stream: "CAPTURE_DLQ"}
	err := store.Republished(h.t.Context(), deadletter.Republication{
		Letter: uint64(3*i + 1), TradeID: text, Amount: text, Money: text, Subject: text, Stream: text, By: text, Note: text, ApprovedBy: text, Time: time.Now(),
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// job publishes a job that waits, on a subject of its own.
func (h *hostile) job(text string) {
	token := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '.' || r == '*' || r == '>' || r == 0 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	m := nats.NewMsg("capture.jobs.x" + token[:min(len(token), 40)])
	m.Data = body("W-1", text)
	h.publish(m)
}

// trade writes the events of a trade that ended, or did not, each with the text.
func (h *hostile) trade(id string, end capture.EventType, text string) {
	amount, err := capture.ParseAmount("1.00", "EUR")
	if err != nil {
		h.t.Fatal(err)
	}
	order := &capture.Order{TradeID: text, OrderID: text, State: capture.OrderState(text), AmountText: text, TransactionID: text, SettlementAmount: text, ExchangeRate: text}
	answer := &capture.Answer{Kind: capture.AnswerUnknown, Code: text, Why: text, Message: text, ResponseID: text, Order: order}
	began := time.Now().Add(-time.Hour).UTC()
	events := []capture.Event{
		{Type: capture.Attempted, Attempt: 1, Call: 1, RequestID: text, LeaseUntil: began.Add(time.Minute),
			Job:    &capture.Job{TradeID: id, Amount: amount, OrderID: text, Description: text},
			Source: &capture.Source{Stream: text, Sequence: 1, Publisher: text, DLQStream: text, DLQSequence: 7}},
		{Type: capture.Answered, Via: capture.ViaCapture, Call: 1, Answer: answer},
		{Type: capture.Notified, Notification: &capture.Notification{Type: text, OrderID: text, State: capture.OrderState(text), AmountText: text}},
	}
	switch end {
	case capture.Parked:
		events = append(events, capture.Event{Type: end, Reason: capture.ReasonUnresolved, Amount: "1.00", Currency: "EUR", OrderID: text, Via: capture.ViaQuery, Answer: answer, By: text, Note: text},
			capture.Event{Type: capture.Dismissed, By: text, Note: text})
	case capture.Failed:
		events = append(events, capture.Event{Type: end, Reason: capture.ReasonTradeIncorrect, Amount: "1.00", Currency: "EUR", OrderID: text, By: text, Note: text},
			capture.Event{Type: capture.EventType("foreseen"), By: text, Note: text})
	default:
		events = append(events, capture.Event{Type: capture.Released, By: text, Note: text, ApprovedBy: text})
	}
	book, seq := ledger.NewJetStream(h.js, ledger.Options{}), uint64(0)
	for i, e := range events {
		e.ID, e.TradeID, e.Time, e.Worker, e.Rule = fmt.Sprintf("%s-%d", id, i), id, began.Add(time.Duration(i)*time.Second), text, text
		if seq, err = book.Append(h.t.Context(), e, seq); err != nil {
			h.t.Fatalf("%s with %q: %v", e.Type, text, err)
		}
	}
}

// run runs a command and looks at everything that it prints.
func (h *hostile) run(command string, args ...string) {
	h.t.Helper()
	h.seen[command] = true
	args = append(strings.Fields(command), args...)
	var stdout, stderr bytes.Buffer
	run(h.t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	if stdout.Len()+stderr.Len() == 0 {
		h.t.Errorf("%q prints nothing", args)
	}
	for _, out := range []string{stdout.String(), stderr.String()} {
		for line := range strings.Lines(out) {
			text := strings.TrimSuffix(line, "\n")
			if mine, ok := strings.CutPrefix(text, bodyMark); ok {
				text = strings.ReplaceAll(mine, "\t", " ") // a body may have tabs
			}
			if at := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || r == unicode.ReplacementChar }); at >= 0 {
				h.t.Errorf("%q prints what controls a terminal: %q", args, text)
			}
			if strings.HasPrefix(strings.TrimLeft(line, " "), "FORGED") || strings.HasPrefix(line, "done     dismissed by ann") {
				h.t.Errorf("%q prints a line of others as its own: %q", args, text)
			}
		}
	}
	if slices.Contains(args, "csv") {
		h.cells(args, stdout.Bytes())
	}
}

// cells looks for formulas in a CSV, without regard to what precedes them invisibly.
func (h *hostile) cells(args []string, table []byte) {
	rows, err := csv.NewReader(bytes.NewReader(table)).ReadAll()
	least := len(h.texts)
	if args[1] == "sums" {
		least = 2 // a row for the title and one for a currency
	}
	if err != nil || len(rows) < least {
		h.t.Errorf("%q prints a CSV of %d rows, want %d: %v", args, len(rows), least, err)
	}
	for _, row := range rows {
		for _, cell := range row {
			bare := strings.TrimLeftFunc(cell, unicode.IsSpace)
			if strings.HasPrefix(cell, "'") || bare == "" {
				continue
			}
			if strings.ContainsRune("=+-@＝＋－＠", []rune(bare)[0]) {
				h.t.Errorf("%q prints a formula: %q", args, cell)
			}
		}
	}
}
