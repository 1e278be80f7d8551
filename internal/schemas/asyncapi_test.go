package schemas_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/schemas/schematest"
	"github.com/capture-worker/capture-worker/ledger"
)

// asyncAPI is the part of AsyncAPI 3.0 that docs/asyncapi.yaml uses. A member
// that is not here is a typing mistake, or is added here.
type asyncAPI struct {
	AsyncAPI           string                  `yaml:"asyncapi"`
	Info               asyncInfo               `yaml:"info"`
	DefaultContentType string                  `yaml:"defaultContentType"`
	Servers            map[string]asyncServer  `yaml:"servers"`
	Channels           map[string]asyncChannel `yaml:"channels"`
	Operations         map[string]asyncWork    `yaml:"operations"`
	Components         struct {
		Messages map[string]asyncMessage `yaml:"messages"`
		Schemas  map[string]any          `yaml:"schemas"`
	} `yaml:"components"`
}

type asyncInfo struct {
	Title, Version, Description string
	License                     struct{ Name, URL string }
}

type asyncServer struct{ Host, Protocol, Description string }

type asyncRef struct {
	Ref string `yaml:"$ref"`
}

type asyncChannel struct {
	Address, Title, Description string
	Parameters                  map[string]struct {
		Description    string
		Enum, Examples []string
	}
	Messages map[string]asyncRef
}

type asyncWork struct {
	Action, Summary string
	Channel         asyncRef
}

type asyncMessage struct {
	Title, Summary string
	ContentType    string `yaml:"contentType"`
	Headers        any
	Payload        any
}

func readAsyncAPI(t *testing.T) (doc asyncAPI, tree map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(schematest.Root(t), "docs", "asyncapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	if err := strict.Decode(&doc); err != nil {
		t.Fatalf("docs/asyncapi.yaml: %v", err)
	}
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	return doc, tree
}

func TestAsyncAPINamesWhatTheProgramUses(t *testing.T) {
	doc, _ := readAsyncAPI(t)
	defaults := config.Defaults()
	subject, _ := strings.CutSuffix(defaults.Jobs.Subjects[0], ">")
	for name, want := range map[string]string{
		"jobsShipped": subject + "shipped", "jobsBatch": subject + "batch",
		"withdrawals": strings.TrimSuffix(defaults.Withdrawals.Subjects[0], ">") + "{source}",
		"captures":    ledger.Subject("{trade_id}", "{event}"),
		"deadLetters": deadletter.SubjectPrefix + "{reason}", "republished": deadletter.RepublishedSubject + "{letter}",
		"dismissedLetters": deadletter.DismissedSubject + "{letter}",
	} {
		if got := doc.Channels[name].Address; got != want {
			t.Errorf("channel %s has the address %q, want %q", name, got, want)
		}
	}
	if n := len(doc.Channels); n != 7 {
		t.Errorf("%d channels, want 7", n)
	}
	if got, want := doc.Channels["deadLetters"].Parameters["reason"].Enum, deadletter.Reasons(); !slices.Equal(got, want) {
		t.Errorf("reasons of dead letters are %v, want %v", got, want)
	}
	if "nats://"+doc.Servers["nats"].Host != defaults.NATS.URL {
		t.Errorf("the server is %s, the default %s", doc.Servers["nats"].Host, defaults.NATS.URL)
	}
	for _, stream := range []string{defaults.Jobs.Stream, defaults.Ledger.Stream, defaults.Jobs.DLQStream, defaults.Withdrawals.Stream} {
		if !strings.Contains(doc.Servers["nats"].Description, stream) {
			t.Errorf("stream %s is not named", stream)
		}
	}
}

func TestAsyncAPIHasEveryEvent(t *testing.T) {
	doc, _ := readAsyncAPI(t)
	var types []string
	for _, kind := range capture.EventTypes() {
		types = append(types, string(kind))
		headers, err := json.Marshal(doc.Components.Messages[string(kind)].Headers)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(headers, []byte(`{"const":"capture.`+string(kind)+`"}`)) {
			t.Errorf("the message %s has not its own ce-type: %s", kind, headers)
		}
	}
	channel := doc.Channels["captures"]
	if got := channel.Parameters["event"].Enum; !slices.Equal(got, types) {
		t.Errorf("the channel names the events %v, want %v", got, types)
	}
	slices.Sort(types)
	if got := slices.Sorted(maps.Keys(channel.Messages)); !slices.Equal(got, types) {
		t.Errorf("the channel has the messages %v, want %v", got, types)
	}
}

func TestAsyncAPIHangsTogether(t *testing.T) {
	doc, tree := readAsyncAPI(t)
	if doc.AsyncAPI != "3.0.0" || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("the head is %q %+v", doc.AsyncAPI, doc.Info)
	}
	used := map[string]bool{}
	walkRefs(t, tree, tree, used)
	for name := range doc.Components.Messages {
		if !used["#/components/messages/"+name] {
			t.Errorf("message %s is in no channel", name)
		}
	}
	for name := range doc.Components.Schemas {
		if !used["#/components/schemas/"+name] {
			t.Errorf("schema %s is used nowhere", name)
		}
	}
	for name := range doc.Channels {
		if !used["#/channels/"+name] {
			t.Errorf("channel %s has no operation", name)
		}
	}
	for name, work := range doc.Operations {
		if work.Action != "send" && work.Action != "receive" {
			t.Errorf("operation %s has the action %q", name, work.Action)
		}
	}
}

// walkRefs follows every $ref of the document.
func walkRefs(t *testing.T, root map[string]any, node any, used map[string]bool) {
	t.Helper()
	switch node := node.(type) {
	case map[string]any:
		if ref, ok := node["$ref"].(string); ok {
			used[ref] = true
			if _, found := resolve(t, root, ref); !found {
				t.Errorf("$ref %q leads nowhere", ref)
			}
		}
		for _, value := range node {
			walkRefs(t, root, value, used)
		}
	case []any:
		for _, value := range node {
			walkRefs(t, root, value, used)
		}
	}
}

// resolve follows a reference inside the document, or to a file beside it.
func resolve(t *testing.T, root map[string]any, ref string) (any, bool) {
	t.Helper()
	file, pointer, _ := strings.Cut(ref, "#")
	var node any = root
	if file != "" {
		text, err := os.ReadFile(filepath.Join(schematest.Root(t), "docs", file))
		if err != nil {
			return nil, false
		}
		if err := json.Unmarshal(text, &node); err != nil {
			return nil, false
		}
	}
	for _, step := range strings.FieldsFunc(pointer, func(r rune) bool { return r == '/' }) {
		switch inner := node.(type) {
		case map[string]any:
			value, found := inner[step]
			if !found {
				return nil, false
			}
			node = value
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(inner) {
				return nil, false
			}
			node = inner[i]
		default:
			return nil, false
		}
	}
	return node, true
}
