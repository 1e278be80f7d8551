package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"

	"github.com/capture-worker/capture-worker/capture"
)

// EnvPrefix starts the name of every environment variable of ours.
const EnvPrefix = "CAPTURE_"

// FileEnv names the environment variable that gives the path of the file.
const FileEnv = EnvPrefix + "CONFIG"

// fileSuffix ends the key that gives a secret by the path of a file.
const fileSuffix = "_file"

// Key is one setting, as the tags of Config describe it.
type Key struct {
	Name    string // "worker.concurrency"
	Env     string // "CAPTURE_WORKER_CONCURRENCY"
	Flag    string // "worker-concurrency", "" for a secret
	Default string // in the form for the environment
	Shown   string // text for a default that is computed at start
	Doc     string // its meaning
	Secret  bool   // never shown

	kind  *kind
	index []int // of the field in Config
}

// Section returns the first part of the name: "worker".
func (k Key) Section() string {
	section, _, _ := strings.Cut(k.Name, ".")
	return section
}

// DefaultText returns the default in words: "off" for a listener that is off.
func (k Key) DefaultText() string {
	switch {
	case k.Shown != "":
		return k.Shown
	case k.kind == listenKind && k.Default == "":
		return "off"
	}
	return k.Default
}

// Type returns the name of the type of the value, such as "duration" or "list".
func (k Key) Type() string { return k.kind.name }

// Keys lists every setting in the order of the struct.
func Keys() []Key { return append([]Key(nil), allKeys()...) }

var allKeys = sync.OnceValue(func() []Key {
	return collectKeys(reflect.TypeFor[Config](), nil)
})

func collectKeys(t reflect.Type, at []int) []Key {
	var keys []Key
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		index := append(append([]int(nil), at...), i)
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, collectKeys(f.Type, index)...)
			continue
		}
		keys = append(keys, newKey(f, index))
	}
	return keys
}

// newKey panics on a field with an unsupported type: a bug in this package that any
// use of it shows.
func newKey(f reflect.StructField, index []int) Key {
	name := f.Tag.Get("key")
	k := Key{
		Name:    name,
		Env:     EnvPrefix + strings.ToUpper(strings.ReplaceAll(name, ".", "_")),
		Flag:    strings.NewReplacer(".", "-", "_", "-").Replace(name),
		Default: f.Tag.Get("default"),
		Shown:   f.Tag.Get("shown"),
		Doc:     f.Tag.Get("doc"),
		kind:    kindOf(f),
		index:   index,
	}
	if name == "" || k.Doc == "" || k.kind == nil {
		panic(fmt.Sprintf("config: field %s lacks a key, a doc or a known type", f.Name))
	}
	if v, ok := policyDefault(name); ok {
		k.Default = k.kind.format(v)
	}
	if k.kind == secretKind {
		k.Secret, k.Flag = true, ""
	}
	return k
}

// policyDefault returns the default of a setting of capture.Policy, which package
// capture defines.
func policyDefault(name string) (value any, ok bool) {
	p := capture.DefaultPolicy()
	switch name {
	case "reconcile.settle":
		return p.Settle, true
	case "reconcile.agree":
		return p.Agree, true
	case "reconcile.spacing":
		return p.Spacing, true
	case "reconcile.final":
		return p.Final, true
	case "worker.give_up_after":
		return p.GiveUpAfter, true
	case "gateway.window":
		return p.Window, true
	}
	return nil, false
}

// keyNamed returns the setting of that name.
func keyNamed(name string) (Key, bool) {
	for _, k := range allKeys() {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// field returns the place of the key's value in c.
func (k Key) field(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(k.index)
}

// Text returns the value in c as it would be written in the environment, a
// secret as "[hidden]".
func (k Key) Text(c Config) string {
	return k.kind.format(k.field(&c).Interface())
}

// Defaults returns the default configuration. Its worker.name consists of the host
// name and the process id.
func Defaults() Config {
	c := Config{origins: map[string]Origin{}}
	for _, k := range allKeys() {
		c.origins[k.Name] = Origin{From: FromDefault}
		if k.Default == "" {
			continue
		}
		v, err := k.kind.parse(k.Default)
		if err != nil {
			panic(fmt.Sprintf("config: default of %s: %v", k.Name, err))
		}
		k.field(&c).Set(reflect.ValueOf(v))
	}
	c.Worker.Name = defaultWorkerName()
	return c
}

// defaultWorkerName returns a name that identifies host and process in the ledger.
func defaultWorkerName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "worker"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}
