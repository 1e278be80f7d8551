package capture_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

// TestTranscripts plays the stories in testdata/transcripts. A story is prose
// (lines that start with #), commands, a line of four dashes, and what must
// come out, up to an empty line. -update rewrites what comes out.
//
//	policy settle=45s agree=2 spacing=5s give-up=72h ids=3   the rest as by default
//	job amount=30.00 authorized=40.00 before=1h capture=p1   the job of the delivery; times count from the start
//	deliver again=yes             decide, and obey as far as the ledger goes; again: not the first delivery
//	answer timeout|done|not-sent|STATE|CODE call=1 excused=yes   of the last call, or the one named
//	query STATE|timeout|CODE amount=30.00 currency=USD created=-720h took=3s by=operator excused=yes
//	advance 45s, crash, notified paid, released, retried before=1h, withdrawn
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { playFile(t, file) })
	}
}

func playFile(t *testing.T, file string) {
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{book: newBook(t), policy: policy}
	var out strings.Builder
	skip := false // what came out last time
	for line := range strings.SplitSeq(strings.TrimRight(string(was), "\n"), "\n") {
		switch {
		case line == "":
			skip = false
		case skip:
			continue
		case line == "----":
			fmt.Fprintf(&out, "----\n%s", strings.Join(p.out, ""))
			p.out, skip = nil, true
			continue
		case !strings.HasPrefix(line, "#"):
			p.play(line)
		}
		fmt.Fprintln(&out, line)
	}
	if len(p.out) > 0 {
		t.Error("the last commands have no ---- after them")
	}
	for _, v := range audit.Events("T1", p.events, p.policy) {
		t.Errorf("the story breaks a rule: %s", v)
	}
	newEventSchema(t).check(p.events...)
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if out.String() != string(was) {
		t.Errorf("%s plays otherwise now; compare, or rewrite with -update. It gives:\n%s", file, out.String())
	}
}

// player holds a story's trade.
type player struct {
	*book
	policy capture.Policy
	job    capture.Job
	out    []string
}

func (p *player) say(format string, args ...any) {
	p.out = append(p.out, fmt.Sprintf("%-9s ", "+"+p.now.Sub(noon).String())+fmt.Sprintf(format, args...)+"\n")
}

func (p *player) play(line string) {
	p.t.Helper()
	words := strings.Fields(line)
	args := map[string]string{}
	var first string
	for _, word := range words[1:] {
		if name, value, ok := strings.Cut(word, "="); ok {
			args[name] = value
		} else {
			first = word
		}
	}
	switch words[0] {
	case "policy":
		p.policy = capture.Policy{Settle: p.span(args["settle"]), Agree: int(args["agree"][0] - '0'),
			Spacing: p.span(args["spacing"]), GiveUpAfter: p.span(args["give-up"])}
		if ids := args["ids"]; ids != "" {
			p.policy.MaxIDs = int(ids[0] - '0')
		}
	case "job":
		p.newJob(args)
	case "deliver":
		p.deliver(args["again"] != "")
	case "answer":
		p.answer(first, args)
	case "query":
		p.query(first, args)
	case "advance":
		p.now = p.now.Add(p.span(first))
	case "notified":
		e := capture.Event{Type: capture.Notified, TradeID: "T1"}
		if first != "" {
			e.Notification = &capture.Notification{Type: "payment", State: capture.ParseOrderState(first), Amount: p.job.Amount}
		}
		p.note(p.append(e))
	case "released", "withdrawn":
		p.note(p.append(capture.Event{Type: capture.EventType(words[0]), TradeID: "T1", By: "ann", Note: "asked the shop"}))
	case "retried":
		e := capture.Event{Type: capture.Retried, TradeID: "T1", By: "ann", Note: "the account was wrong"}
		if args["before"] != "" {
			p.job.CaptureBefore = noon.Add(p.span(args["before"]))
			e.Job = new(p.job)
		}
		p.note(p.append(e))
	case "crash":
		p.say("the worker dies; nothing is written")
	default:
		p.t.Fatalf("no such command: %s", line)
	}
}

func (p *player) span(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *player) newJob(args map[string]string) {
	p.job = jobOf(p.t, args["amount"])
	p.job.CaptureID = args["capture"]
	if a := args["authorized"]; a != "" {
		p.job.AuthorizedAmount = eur(p.t, a)
	}
	if b := args["before"]; b != "" {
		p.job.CaptureBefore = noon.Add(p.span(b))
	}
}

func (p *player) deliver(again bool) {
	policy := p.policy
	policy.AskFirst = again
	step := capture.Decide(new(p.state()), new(p.job), p.now, policy)
	switch step.Do {
	case capture.DoAttempt, capture.DoSettle:
		p.note(p.append(*step.Event))
	case capture.DoWait:
		p.say("wait until +%s [%s]", step.Until.Sub(noon), step.Rule)
	default:
		p.say("%s [%s]", strings.TrimSpace(string(step.Do)+" "+step.Reason), step.Rule)
	}
}

// note prints an event and where it leads.
func (p *player) note(e capture.Event) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", e.Type)
	switch {
	case e.Type == capture.Attempted:
		fmt.Fprintf(&b, " attempt %d, call %d, for %s", e.Attempt, e.Call, e.Job.Amount)
	case e.Type == capture.Captured:
		fmt.Fprintf(&b, " %s", e.Sum())
		if e.CaptureID != "" {
			fmt.Fprintf(&b, ", capture_id %s", e.CaptureID)
		}
	case e.Reason != "":
		fmt.Fprintf(&b, " %s", e.Reason)
	case e.Excused:
		b.WriteString(", excused")
	}
	if e.Corrects != "" {
		fmt.Fprintf(&b, ", corrects %s", e.Corrects)
	}
	if e.Rule != "" {
		fmt.Fprintf(&b, " [%s]", e.Rule)
	}
	p.say("%s -> %s", b.String(), p.state().Phase)
}

func (p *player) judge(f capture.Finding, job *capture.Job) {
	e := capture.Judge(new(p.state()), job, f, p.now, p.policy)
	if e == nil {
		p.say("nothing to write down -> %s", p.state().Phase)
		return
	}
	if !e.Type.Outcome() {
		e.RetryAt = p.now.Add(10 * time.Second)
	}
	p.note(p.append(*e))
}

func (p *player) answer(word string, args map[string]string) {
	f := capture.Finding{Via: capture.ViaCapture, Call: p.state().Call, Excused: args["excused"] != ""}
	if n := args["call"]; n != "" {
		f.Call = int(n[0] - '0')
	}
	switch word {
	case "done":
		sum := p.state().Job.Amount
		if a := args["amount"]; a != "" {
			sum = eur(p.t, a)
		}
		f.Answer = paidAnswer(sum)
	case "declined":
		f.Answer = orderAnswer(capture.OrderDeclined, p.job.Amount)
		f.Answer.Kind = capture.AnswerRefused
	default:
		f.Answer = plainAnswer(word)
	}
	p.judge(f, &p.job)
}

func plainAnswer(word string) capture.Answer {
	switch {
	case word == "timeout":
		return capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}
	case word == "not-sent":
		return capture.Answer{Kind: capture.AnswerNotSent, Why: "connection refused"}
	case word == capture.CodeInternal, word == "-9999", word == "-9998":
		return capture.Answer{Kind: capture.AnswerUnknown, Code: word}
	}
	return capture.Answer{Kind: capture.AnswerRefused, Code: word}
}

func (p *player) query(word string, args map[string]string) {
	f := capture.Finding{Via: capture.ViaQuery, Excused: args["excused"] != ""}
	sum := p.job.Amount
	switch a := args["amount"]; {
	case a == "none":
		sum = capture.Amount{}
	case args["currency"] != "":
		sum, _ = capture.ParseAmount(a, args["currency"])
	case a != "":
		sum = eur(p.t, a)
	}
	if word == "timeout" || strings.HasPrefix(word, "-") {
		f.Answer = plainAnswer(word)
	} else {
		f.Answer = orderAnswer(capture.ParseOrderState(word), sum)
	}
	if created := args["created"]; created != "" {
		f.Answer.Order.CreatedAt = strconv.FormatInt(noon.Add(p.span(created)).Unix(), 10)
	}
	if took := args["took"]; took != "" {
		f.Answer.Latency = p.span(took)
	}
	job := &p.job
	if args["by"] != "" {
		job = nil
	}
	p.judge(f, job)
}
